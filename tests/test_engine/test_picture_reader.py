"""Pictures that tools take: every kind of image to the pixels that mmcv reads, folders, globs and videos."""

import sys

import cv2
import mmcv
import numpy as np
import PIL.Image
import pytest

from mmsterf.engine.image_files import read_image
from mmsterf.engine.inputs import Pictures, find
from mmsterf.engine.videos import video_frames, video_info
from mmsterf.errors import InvalidInput

SMALL = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
RGB = cv2.resize(SMALL, (30, 20), interpolation=cv2.INTER_CUBIC)
GREY = np.asarray(PIL.Image.fromarray(RGB).convert('L'))
KINDS = {
    'rgb.png': '',
    'grey.png': 'grey',
    'grey_alpha.png': 'grey with transparency',
    'alpha.png': 'with transparency',
    'alpha.tif': 'with transparency',
    'palette.gif': 'palette of 2 frames or pages, the first',
    'bits.png': '1-bit',
    'cmyk.jpg': 'CMYK',
    'cmyk.tif': 'CMYK',
    'grey16.png': '16-bit grey',
    'grey16.tif': '16-bit grey',
    'grey16.pgm': '16-bit grey',
    'colour16.png': '16-bit colour',
    'colour16.tif': '16-bit colour',
    'colour16.ppm': '16-bit colour',
    'alpha16.png': '16-bit with transparency',
    'turned.jpg': '',
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    image, grey, colour = PIL.Image.fromarray(RGB), GREY.astype(np.uint16) * 256 + 7, RGB[..., ::-1] * np.uint16(256)
    modes = {'rgb.png': 'RGB', 'grey.png': 'L', 'grey_alpha.png': 'LA', 'alpha.png': 'RGBA', 'alpha.tif': 'RGBA',
             'bits.png': '1', 'cmyk.jpg': 'CMYK', 'cmyk.tif': 'CMYK', 'float.tif': 'F', 'deep.tif': 'I'}  # fmt: skip
    for name, mode in modes.items():
        image.convert(mode).save(folder / name, quality=95)
    image.convert('P').save(folder / 'palette.gif', save_all=True, append_images=[image.rotate(180).convert('P')])
    turned = PIL.Image.Exif()
    turned[0x112] = 6
    image.save(folder / 'turned.jpg', exif=turned, quality=95)
    for kind in ('png', 'tif', 'pgm'):
        cv2.imwrite(str(folder / f'grey16.{kind}'), grey)
    for kind in ('png', 'tif', 'ppm'):
        cv2.imwrite(str(folder / f'colour16.{kind}'), colour + np.uint16(7))
    cv2.imwrite(str(folder / 'alpha16.png'), np.dstack([colour, grey]))
    return folder


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('video') / 'clip.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10, (32, 24))
    for i in range(20):
        writer.write(np.full((24, 32, 3), 10 * i, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize('name', KINDS)
def test_images_are_read_as_models_read_them(folder, name, monkeypatch):
    found = read_image(folder / name)
    assert found.converted == KINDS[name]
    np.testing.assert_array_equal(found.pixels, mmcv.imread(str(folder / name)))
    true = np.repeat(GREY[..., None], 3, 2) if name.startswith('grey') else RGB[..., ::-1]
    if name == 'turned.jpg':
        true = np.rot90(true, -1)
    elif name == 'bits.png':
        true = np.asarray(PIL.Image.fromarray(RGB).convert('1').convert('RGB'))
    worst = {'palette.gif': 60, 'turned.jpg': 30, 'cmyk.jpg': 6}.get(name, 1)
    assert np.abs(found.pixels.astype(int) - true).max() <= worst
    monkeypatch.setitem(sys.modules, 'cv2', None)
    alone = read_image(folder / name)
    assert alone.converted == found.converted
    assert np.abs(alone.pixels.astype(int) - found.pixels).max() <= 1


def test_what_is_no_picture_is_said(folder, tmp_path):
    whole = (folder / 'rgb.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(whole[:300])
    (tmp_path / 'text.jpg').write_text('hello' * 20)
    (tmp_path / 'text.mp4').write_text('hello' * 20)
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'notes').mkdir()
    for path, said in (
        (tmp_path / 'cut.png', r'cut.png: is damaged \(image file is truncated'),
        (tmp_path / 'text.jpg', 'text.jpg: is no image or video that can be read'),
        (tmp_path / 'empty.png', 'is an empty file'),
        (folder / 'float.tif', 'has floating-point pixels'),
        (folder / 'deep.tif', 'has 32-bit pixels'),
    ):
        with pytest.raises(InvalidInput, match=f'--images .*{said}'):
            read_image(path, '--images')
    with pytest.raises(InvalidInput, match=r'text.mp4: is no image or video that can be read'):
        list(video_frames(tmp_path / 'text.mp4'))
    for item, said in (
        (tmp_path / 'notes', 'holds no images or videos in the folder itself .*/notes/'),
        (tmp_path / '*.txt', 'holds no images or videos among what it matches'),
        (tmp_path / 'nothing.png', 'is not there; images, folders, globs and videos can be given'),
        ('https://host/a.png', 'download it first'),
    ):
        with pytest.raises(InvalidInput, match=said):
            find([item])


def test_folders_and_globs_in_natural_order(tmp_path):
    for name in ('a10.png', 'a9.PNG', 'notes.txt', '.a1.png', 'clip.mp4', 'below/b.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    here = [str(tmp_path / name) for name in ('a9.PNG', 'a10.png', 'clip.mp4')]
    assert find([tmp_path]) == here
    assert find([tmp_path / '*', tmp_path / 'notes.txt']) == [*here, str(tmp_path / 'notes.txt')]
    assert find([tmp_path / '**']) == [*here[:2], str(tmp_path / 'below/b.jpg'), here[2]]


def test_frames_of_videos(folder, video, monkeypatch):
    assert video_info(video) == (10, 32, 24, 20)
    levels = [round(frame.mean() / 10) for frame in video_frames(video)]
    assert levels == list(range(20))
    items = [video, folder / 'grey.png']
    for without in (False, True):
        if without:
            monkeypatch.setitem(sys.modules, 'cv2', None)
        every = Pictures(items)
        names = [name for name, _ in every]
        assert names[:2] == ['clip.avi frame 0', 'clip.avi frame 1'] and names[20:] == ['grey.png'] and len(every) == 21
        assert every.said() == ['converted to 8-bit BGR: grey.png (grey)']
        few = Pictures(items, num=7)
        assert [round(images[0].mean() / 10) for _, images in few][:6] == [0, 3, 6, 9, 12, 15] and len(few) == 7
        assert few.said() == ['7 of 21 pictures, evenly spread, are taken']
        clips = Pictures([video], num=5, steps=4)
        assert [[round(i.mean() / 10) for i in clips[k][1]] for k in (0, 1, 4, 2, 2)] == [
            [0, 1, 2, 3], [3, 4, 5, 6], [13, 14, 15, 16], [6, 7, 8, 9], [6, 7, 8, 9],
        ]  # fmt: skip
        with pytest.raises(InvalidInput, match=r'clip.avi: has 20 frames, and 21 are needed'):
            len(Pictures([video], steps=21))
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(InvalidInput, match='videos need the package opencv-python or av'):
        video_info(video)
