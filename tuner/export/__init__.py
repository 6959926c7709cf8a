"""From a configuration of a study to a folder that deploys it."""

from tuner.export.deployment import Deployment
from tuner.export.folder import check_folder, write_folder

__all__ = ["Deployment", "check_folder", "write_folder"]
