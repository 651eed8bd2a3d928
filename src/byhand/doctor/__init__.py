"""The doctor: looks at a training, and says in plain sentences what is wrong with it and what to try.

    doctor = bh.doctor.Doctor()
    bh.fit(model, train, ..., callbacks=[doctor])
    for finding in doctor.findings:
        print(finding.severity, finding.sentence)

Every run of a recipe has one, and leaves its measurements in the run folder; `byhand doctor RUN` judges by them.
"""

from byhand.doctor.diagnosis import diagnose, facts, in_words
from byhand.doctor.finding import Finding
from byhand.doctor.measured import Layer, Look, Measured
from byhand.doctor.record import MEASUREMENTS, examined
from byhand.doctor.watching import Doctor

__all__ = ["MEASUREMENTS", "Doctor", "Finding", "Layer", "Look", "Measured", "diagnose", "examined", "facts",
           "in_words"]
