"""Backups of a data directory: taken while a platform runs on it, restored elsewhere."""

from processing.backup.manifest import Manifest, SavedFile, SavedPositions
from processing.backup.restoring import restore_backup
from processing.backup.taking import Progress, take_backup

__all__ = ["Manifest", "Progress", "SavedFile", "SavedPositions", "restore_backup", "take_backup"]
