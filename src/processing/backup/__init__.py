"""Backups of a data directory: taken while a platform runs on it, restored elsewhere."""

from processing.backup.manifest import Manifest, Positions, SavedFile
from processing.backup.restoring import restore_backup
from processing.backup.taking import Progress, take_backup

__all__ = ["Manifest", "Positions", "Progress", "SavedFile", "restore_backup", "take_backup"]
