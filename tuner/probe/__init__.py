"""What the hardware says of itself. Read only; what cannot be read is missing with a reason."""

from tuner.probe.bandwidth import Bandwidth, last_level_cache_bytes, measure_bandwidth
from tuner.probe.base import NoProbe, Probe, Probes, Sensor, Subject
from tuner.probe.gpu import Gpu, GpuDriver, find_gpus, seen_gpus
from tuner.probe.host import HostSensor
from tuner.probe.nvml import GpuSensor
from tuner.probe.occupied import THRESHOLD_BYTES, Holder, OccupiedGpu, occupied_gpus
from tuner.probe.sampled import SampledProbe

__all__ = [
    "THRESHOLD_BYTES",
    "Bandwidth",
    "Gpu",
    "GpuDriver",
    "GpuSensor",
    "Holder",
    "HostSensor",
    "NoProbe",
    "OccupiedGpu",
    "Probe",
    "Probes",
    "SampledProbe",
    "Sensor",
    "Subject",
    "find_gpus",
    "last_level_cache_bytes",
    "measure_bandwidth",
    "occupied_gpus",
    "seen_gpus",
]
