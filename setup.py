"""Packaging of mmsterf; configs and tools travel in mmsterf/.mim, as OpenMMLab packages have them."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (ROOT / 'mmsterf' / '__init__.py').read_text()).group(1)

setup(
    name='mmsterf',
    version=VERSION,
    description='Spiking Transformers and spatio-temporal effective receptive fields for OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    python_requires='>=3.9',
    packages=find_packages(include=['mmsterf', 'mmsterf.*']),
    package_data={
        'mmsterf': [
            '.mim/model-index.yml',
            '.mim/configs/**/*.py',
            '.mim/tools/**/*.py',
            '.mim/tools/*.sh',
            'erf/*.html',
        ]
    },
    entry_points={'console_scripts': ['mmsterf-erf = mmsterf.erf.command:main']},
    # The OpenMMLab stack and spikingjelly are extras: two families of packages provide the first, and the second
    # declares torchvision builds that replace a CPU PyTorch. `mmsterf.engine.check_versions` checks both at run time.
    install_requires=['matplotlib', 'numpy', 'torch>=2.6', 'tqdm'],
    extras_require={
        'openmmlab': [
            'mmengine>=0.10,<1',
            'mmcv>=2.0,<2.2',
            'mmdet>=3.3,<3.4',
            'mmsegmentation>=1.2,<1.3',
            'ftfy',
            'regex',
            'six',
        ],
        'onedl': [
            'onedl-mmengine>=0.10,<1',
            'onedl-mmcv>=2.3,<2.4',
            'onedl-mmdetection>=3.5,<3.6',
            'onedl-mmsegmentation>=1.4,<1.5',
        ],
        'spikingjelly': ['spikingjelly>=2,<3', 'loguru<1', 'h5py', 'scipy'],
        # mmpretrain declares an empty package for the one it imports, and imports torchvision.
        'pretraining': ['mmpretrain>=1.2,<1.3', 'mat4py', 'model-index', 'torchvision'],
        'onnx': ['onnx>=1.20', 'onnxscript>=0.7', 'onnxruntime>=1.20'],
        'openvino': ['openvino>=2026.1'],
        'events': ['aedat>=2.3,<3', 'evio>=0.1,<0.2', 'expelliarmus>=1.1,<2', 'h5py', 'hdf5plugin'],
        'demo': ['scikit-learn'],
        'study': ['pandas', 'scipy'],
    },
)
