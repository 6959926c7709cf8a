"""/proc with the files that probes read."""

from __future__ import annotations

from pathlib import Path

_HOSTS, _CONTAINERS = "pid:[4026531836]", "pid:[4026532201]"


class FakeProc:
    """A folder that stands for /proc."""

    def __init__(self, root: Path, *, in_container: bool = False) -> None:
        self.root = root
        (root / "self" / "ns").mkdir(parents=True)
        (root / "self" / "ns" / "pid").symlink_to(_CONTAINERS if in_container else _HOSTS)

    def process(
        self,
        pid: int,
        *,
        children: tuple[int, ...] = (),
        ticks: tuple[int, int, int, int] = (0, 0, 0, 0),
        opened: tuple[str, ...] = (),
        name: str = "llama-server",
    ) -> None:
        """One process; `ticks` are utime, stime, cutime, cstime; `opened` what its file descriptors are."""
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        (folder / "task" / str(pid) / "children").write_text(" ".join(map(str, children)))
        (folder / "stat").write_text(f"{pid} ({name}) S " + "0 " * 10 + " ".join(map(str, ticks)) + " 20 0")
        (folder / "fd").mkdir(exist_ok=True)
        for number, target in enumerate(opened):
            (folder / "fd" / str(number)).symlink_to(target)

    def host(self, *, ticks: tuple[int, ...], load: str = "1.50") -> None:
        """The first line of /proc/stat, and /proc/loadavg."""
        (self.root / "stat").write_text(f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 2 3\n")
        (self.root / "loadavg").write_text(f"{load} 1.00 0.50 1/234 5678\n")
