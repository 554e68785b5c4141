"""Own pictures: what a folder holds, turned into what mmdet, mmseg and mmpretrain read, and a config for it."""
