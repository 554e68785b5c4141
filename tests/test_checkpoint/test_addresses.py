"""Checkpoints from a server on loopback and from Hugging Face, wherever checkpoints are taken."""

import hashlib
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import CheckpointLoader
from test_loading import assert_same, backbone, build, config, randomize

from mmsterf.checkpoint import local_file, read, to_published
from mmsterf.engine.checkpoints import read_checkpoint
from mmsterf.engine.checks import check_start, check_weights
from mmsterf.errors import InvalidInput

READERS = (read, read_checkpoint, CheckpointLoader.load_checkpoint)


def kept(tmp_path) -> list:
    return [path for path in (tmp_path / 'hub').rglob('*') if path.is_file() and path.suffix != '.lock']


def test_what_cannot_be_had_is_said_and_not_kept(site, tmp_path):
    """A missing page, a web page in place of the file, and nobody there."""
    (site.folder / 'page.pth').write_text('<html>Sign in</html>')
    for reader in READERS:
        with pytest.raises(InvalidInput, match='cannot be fetched: the server answers 404'):
            reader(f'{site.url}/nowhere.pth')
        with pytest.raises(InvalidInput, match=r'page\.pth is no checkpoint, but a web page'):
            reader(f'{site.url}/page.pth')
        assert not kept(tmp_path)
    site.stop()
    for reader in READERS:
        with pytest.raises(InvalidInput, match=r'cannot be fetched: .*refused'):
            reader(f'{site.url}/page.pth'.replace(site.url.rpartition(':')[2], '9'))


def test_fetched_once_and_its_hash_said(site, tmp_path, logged):
    for folder, value in (('a', 1.0), ('b', 2.0)):
        (site.folder / folder).mkdir()
        torch.save({'weight': torch.tensor([value])}, site.folder / folder / 'model.pth')
    for reader in READERS:
        assert reader(f'{site.url}/a/model.pth')['weight'].tolist() == [1]
    # Two files of one name: PyTorch would take the one that it has.
    assert read(f'{site.url}/b/model.pth')['weight'].tolist() == [2]
    assert site.asked == ['/a/model.pth', '/b/model.pth'] and len(kept(tmp_path)) == 2
    digest = hashlib.sha256((site.folder / 'a/model.pth').read_bytes()).hexdigest()
    assert logged.getvalue().count(f'/a/model.pth: 0.0 MB, sha256 {digest}, kept as ') == 1


def test_a_hash_in_the_name_must_be_right(site, tmp_path):
    content = site.folder / 'content'
    torch.save({'weight': torch.ones(1)}, content)
    digest = hashlib.sha256(content.read_bytes()).hexdigest()
    for name in (f'model-{digest[:8]}.pth', 'model-20240101.pth', 'model-0badcafe.pth'):
        (site.folder / name).write_bytes(content.read_bytes())
    assert local_file(f'{site.url}/model-{digest[:8]}.pth') == tmp_path / f'hub/checkpoints/model-{digest[:8]}.pth'
    assert local_file(f'{site.url}/model-20240101.pth').is_file()
    with pytest.raises(InvalidInput, match=rf'begins with {digest[:8]}, not 0badcafe'):
        read(f'{site.url}/model-0badcafe.pth')
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize('kind', ['detector', 'segmentor'])
def test_stock_clients_take_published_addresses(site, kind):
    """mmdet's init_detector, mmseg's init_model, what the tools check, and `init_cfg`."""
    state = randomize(build(kind)).state_dict()
    published = to_published(state)
    meta = {'dataset_meta': {'classes': tuple('abcde'), 'palette': 'random'}}
    torch.save({'state_dict': published, **({'meta': meta} if kind == 'detector' else {})}, site.folder / 'model.pth')
    url = f'{site.url}/model.pth'
    if kind == 'detector':
        from mmdet.apis import init_detector as init
    else:
        from mmseg.apis import init_model as init
    assert_same(init(config(kind), url, device='cpu'), state)
    check_weights(build(kind), url)
    check_start(build(kind), url, False)
    model = backbone(checkpoint=url, prefix='backbone.')
    model.init_weights()
    assert torch.equal(model.stem.conv.weight, state['backbone.stem.conv.weight'])
    with pytest.raises(ValueError, match=r'model\.pth does not fit'):
        check_weights(build('segmentor' if kind == 'detector' else 'detector'), url)
    assert site.asked == ['/model.pth']


def test_hugging_face(tmp_path, monkeypatch):
    file = tmp_path / 'model.pth'
    torch.save({'weight': torch.ones(1)}, file)
    asked = []

    def download(repository: str, name: str, revision=None) -> str:
        asked.append((repository, name, revision))
        if name == 'nowhere.pth':
            raise OSError('404 Client Error: Entry Not Found')
        return str(file)

    monkeypatch.setitem(sys.modules, 'huggingface_hub', SimpleNamespace(hf_hub_download=download))
    for reader in READERS:
        assert reader('hf://owner/repo/some/model.pth')['weight'].tolist() == [1]
    assert set(asked) == {('owner/repo', 'some/model.pth', None)}
    local_file('hf://owner/repo@v1/model.pth')
    assert asked[-1] == ('owner/repo', 'model.pth', 'v1')
    with pytest.raises(InvalidInput, match=r'hf://owner/repo/nowhere\.pth cannot be fetched: 404 Client Error'):
        read('hf://owner/repo/nowhere.pth')
    with pytest.raises(InvalidInput, match='are hf://owner/repo/file'):
        read('hf://owner/model.pth')
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(InvalidInput, match='needs the package huggingface_hub, which is not installed'):
        CheckpointLoader.load_checkpoint('hf://owner/repo/model.pth')
