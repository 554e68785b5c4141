"""Classes of images: drawn below them, written with the scores of all classes."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from mmsterf.erf import replace_file

from .pictures import below, enlarged, font_size, lines_of, zoom_of

SHOWN = 5
"""Classes named in a picture."""


class Results:
    """Collects scores and writes predictions.json: a list with file, class, score, and the scores of all classes.

    Args:
        predictor (Predictor): Whose classes to use.
        folder (Path): Where to write.
        score (float): From which a class is named in the picture; the best one always is.
    """

    def __init__(self, predictor, folder: Path, score: float) -> None:
        self.predictor, self.folder, self.score = predictor, folder, score
        self.found = []

    def add(self, item, sample) -> np.ndarray:
        """Take the predictions for an item; returns its picture, RGB."""
        scores, classes = sample.pred_score.numpy(), self.predictor.classes
        best = int(np.argmax(scores))
        frame = {} if item.frame is None else {'frame': item.frame}
        self.found.append(
            {
                'file_name': str(item.path),
                **frame,
                'label': best,
                'class': classes[best],
                'score': float(scores[best]),
                'scores': [float(score) for score in scores],
            }
        )
        return self.draw(item, sample)

    def draw(self, item, sample) -> np.ndarray:
        """The picture of an item, RGB, with the best classes below."""
        scores, classes = sample.pred_score.numpy(), self.predictor.classes
        order = np.argsort(-scores, kind='stable')
        best = int(order[0])
        shown = [i for i in order[:SHOWN] if i == best or scores[i] >= self.score]
        image = np.ascontiguousarray(item.image[..., ::-1])
        picture = enlarged(image, zoom_of(*image.shape[:2]))
        entries = [(None, f'{classes[i]}: {scores[i]:.2f}') for i in shown]
        rows = None if item.frame is None else 1
        return below(picture, lines_of(entries, picture.shape[1], font_size(*picture.shape[:2]), rows))

    def write(self) -> str:
        """Write predictions.json; returns a line about what was found."""
        text = json.dumps(self.found, indent=1) + '\n'
        replace_file(self.folder / 'predictions.json', lambda part: part.write_text(text))
        counts = Counter(found['class'] for found in self.found)
        return ', '.join(f'{number} {name}' for name, number in counts.most_common(6)) + ', ...' * (len(counts) > 6)
