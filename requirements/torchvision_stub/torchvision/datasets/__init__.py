"""Stand-in: the names that timm imports; there are no data sets behind them."""


class _Absent:
    def __init__(self, *args, **kwargs) -> None:
        raise NotImplementedError('this torchvision is a stand-in of a CPU environment and has no data sets')


CIFAR10 = CIFAR100 = FashionMNIST = ImageFolder = KMNIST = MNIST = _Absent
