"""The dsa bus: its drivers, binding and unbinding, and what they do to work queues and devices."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from iaactl.sim import kmsg
from iaactl.sim.idxd import parse
from iaactl.sim.idxd.cdev import add_cdev, remove_cdev
from iaactl.sim.idxd.driver import DRIVER_NAME, USER_WITHOUT_SVA, Idxd
from iaactl.sim.idxd.wq import ENABLED, WorkQueue
from iaactl.sim.kernfs import Attribute, Directory, Link, refuse

if TYPE_CHECKING:
    from iaactl.sim.idxd.kernel import Kernel

Bound = Idxd | WorkQueue


class Driver:
    """A driver on the bus. `kind` is the kind of object it takes."""

    name = ""
    module = "idxd"
    takes: type[Idxd] | type[WorkQueue] = WorkQueue

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def probe(self, thing: Bound) -> None:
        """Take the object, or raise what bind returns."""
        raise NotImplementedError

    def remove(self, thing: Bound) -> None:
        """Let the object go."""
        raise NotImplementedError


class DeviceDriver(Driver):
    """`idxd`: devices."""

    name = "idxd"
    takes = Idxd

    def probe(self, thing: Bound) -> None:
        assert isinstance(thing, Idxd)
        thing.probe()

    def remove(self, thing: Bound) -> None:
        assert isinstance(thing, Idxd)
        thing.remove()


class WqDriver(Driver):
    """What the drivers of work queues share."""

    clears_type_on_wrong_name = True
    type = b"kernel"

    def _name_fits(self, wq: WorkQueue) -> bool:
        if not self.kernel.spec.kernel.driver_name:
            return True
        # The driver compares as many characters as its own name has.
        return wq.driver_name.startswith(self.name.encode())

    def _check_name(self, wq: WorkQueue) -> None:
        if not self._name_fits(wq):
            wq.device.cmd_status = DRIVER_NAME
            if self.clears_type_on_wrong_name:
                wq.type = b"none"
            raise refuse(errno.ENODEV)

    def before_enable(self, wq: WorkQueue) -> None:
        """Checks of this driver before the common ones."""
        self._check_name(wq)

    def after_enable(self, wq: WorkQueue) -> None:
        """What is made of an enabled work queue."""

    def error(self, number: int) -> int:
        """The errno that bind returns for one of the common checks."""
        return number

    def probe(self, thing: Bound) -> None:
        assert isinstance(thing, WorkQueue)
        wq, device = thing, thing.device
        if device.state != ENABLED:
            raise refuse(errno.ENXIO)
        self.before_enable(wq)
        wq.type = self.type
        try:
            device.enable_wq(wq)
        except OSError as error:
            wq.type = b"none"
            raise refuse(self.error(error.errno or errno.ENXIO)) from None
        self.after_enable(wq)
        device.cmd_status = 0

    def remove(self, thing: Bound) -> None:
        assert isinstance(thing, WorkQueue)
        thing.device.disable_wq(thing)


class UserDriver(WqDriver):
    """`user`: a character device for each work queue."""

    name = "user"
    type = b"user"
    clears_type_on_wrong_name = False

    def before_enable(self, wq: WorkQueue) -> None:
        first = self.kernel.spec.kernel.pasid_before_name
        if first:
            self._check_pasid(wq)
        self._check_name(wq)
        if not first:
            self._check_pasid(wq)

    def _check_pasid(self, wq: WorkQueue) -> None:
        if not wq.device.user_pasid:
            wq.device.cmd_status = USER_WITHOUT_SVA
            raise refuse(errno.EOPNOTSUPP)

    def after_enable(self, wq: WorkQueue) -> None:
        add_cdev(self.kernel, wq)

    def remove(self, thing: Bound) -> None:
        assert isinstance(thing, WorkQueue)
        remove_cdev(self.kernel, thing)
        super().remove(thing)


class DmaDriver(WqDriver):
    """`dmaengine`: kernel channels."""

    name = "dmaengine"


class CryptoDriver(WqDriver):
    """`crypto`: the iaa_crypto module's compression algorithm."""

    name = "crypto"
    module = "iaa_crypto"

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.taken = 0
        self.registered_once = False
        self.verify_compress = True
        self.sync_mode = b"sync"

    def before_enable(self, wq: WorkQueue) -> None:
        if wq.device.spec.kind != "iax":
            raise refuse(errno.ENODEV)
        self._check_name(wq)

    def error(self, number: int) -> int:
        return number if number == errno.EBUSY else errno.ENXIO

    def after_enable(self, wq: WorkQueue) -> None:
        if not self.taken and self.registered_once:
            # The algorithm cannot be registered a second time before the module is reloaded.
            wq.device.disable_wq(wq)
            wq.device.cmd_status = 0
            raise refuse(errno.EEXIST)
        if not self.taken:
            self._say("iaa_crypto now ENABLED")
        self.taken += 1
        self.registered_once = True

    def remove(self, thing: Bound) -> None:
        self.taken -= 1
        super().remove(thing)
        if not self.taken:
            self._say("iaa_crypto now DISABLED")

    def _say(self, text: str) -> None:
        self.kernel.log.printk(kmsg.INFO, f"idxd: crypto: {text}")

    def publish(self, directory: Directory) -> None:
        """The attributes of the driver directory."""
        directory.add(
            "verify_compress",
            Attribute(lambda: b"%d\n" % self.verify_compress, self._store_verify),
        )
        directory.add("sync_mode", Attribute(lambda: self.sync_mode + b"\n", self._store_sync))

    def _idle(self) -> None:
        if self.taken:
            raise refuse(errno.EBUSY)

    def _store_verify(self, data: bytes) -> None:
        self._idle()
        self.verify_compress = parse.boolean(data)

    def _store_sync(self, data: bytes) -> None:
        self._idle()
        word = parse.word(data)
        if word not in (b"sync", b"async", b"async_irq"):
            raise refuse(errno.EINVAL)
        self.sync_mode = word


def _only_checked(data: bytes) -> None:
    """A write to the `uevent` of a bus or driver: nobody listens to events of those."""
    parse.action(data)


class Bus:
    """The bus itself: objects by name, drivers in the order of their registration."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.objects: dict[str, object] = {}
        self.drivers: dict[str, Driver] = {}
        self.autoprobe = True
        base = kernel.root.directory("sys/bus/dsa")
        self.links = base.directory("devices")
        self.folders = base.directory("drivers")
        base.add("drivers_probe", Attribute(store=self._probe_one))
        base.add("drivers_autoprobe", Attribute(self._show_autoprobe, self._store_autoprobe))
        base.add("uevent", Attribute(store=_only_checked))

    def _show_autoprobe(self) -> bytes:
        return b"%d\n" % self.autoprobe

    def _store_autoprobe(self, data: bytes) -> None:
        self.autoprobe = data[:1] != b"0"

    def find(self, data: bytes) -> object | None:
        """The object that a write to bind, unbind or drivers_probe names."""
        return self.objects.get(parse.word(data).decode("latin-1"))

    # -- drivers ------------------------------------------------------------------------------

    def register(self, driver: Driver) -> None:
        """Add a driver and let it try what no other driver has."""
        folder = self.folders.add(driver.name, Directory())
        folder.add("module", Link(f"../../../../module/{driver.module}"))
        folder.add("bind", Attribute(store=lambda data: self._bind(driver, data)))
        folder.add("unbind", Attribute(store=lambda data: self._unbind(driver, data)))
        folder.add("uevent", Attribute(store=_only_checked))
        self.drivers[driver.name] = driver
        if isinstance(driver, CryptoDriver):
            driver.publish(folder)
        if self.autoprobe:
            for thing in list(self.objects.values()):
                if isinstance(thing, Idxd | WorkQueue) and thing.driver is None:
                    self._try(driver, thing)

    def unregister(self, name: str) -> None:
        """Take a driver away; what it holds is released first."""
        for thing in list(self.objects.values()):
            if isinstance(thing, Idxd | WorkQueue) and thing.driver == name:
                self.release(thing)
        self.folders.remove(name)
        del self.drivers[name]

    # -- objects ------------------------------------------------------------------------------

    def add(self, thing: object, name: str, path: str) -> None:
        """Put an object on the bus, and offer it to the drivers."""
        self.objects[name] = thing
        self.links.add(name, Link(f"../../../{path.removeprefix('/')}"))

    def offer(self, thing: Bound) -> None:
        """Let the drivers try an object, in the order of their registration."""
        for driver in list(self.drivers.values()):
            if thing.driver is None:
                self._try(driver, thing)

    def remove(self, name: str) -> None:
        """Take an object off the bus."""
        thing = self.objects.pop(name)
        if isinstance(thing, Idxd | WorkQueue) and thing.driver is not None:
            self.release(thing)
        self.links.remove(name)

    # -- binding ------------------------------------------------------------------------------

    def _try(self, driver: Driver, thing: Bound) -> None:
        if isinstance(thing, driver.takes):
            try:
                self._attach(driver, thing)
            except OSError:
                return

    def _attach(self, driver: Driver, thing: Bound) -> None:
        try:
            driver.probe(thing)
        except OSError as error:
            self._log_refusal(driver, thing, error.errno or 0)
            raise
        thing.driver = driver.name
        kernel = self.kernel
        path = kernel.path_of(thing)
        up = "../" * path.count("/")
        kernel.directory_of(thing).add("driver", Link(f"{up}bus/dsa/drivers/{driver.name}"))
        self.folders.directory(driver.name).add(
            thing.sysname, Link(f"../../../../{path.removeprefix('/')}")
        )
        kernel.announce("bind", path, kernel.directory_of(thing))

    def _log_refusal(self, driver: Driver, thing: Bound, number: int) -> None:
        """The driver core keeps quiet about drivers that do not want the object."""
        if number in (errno.ENODEV, errno.ENXIO):
            return
        name, log = thing.sysname, self.kernel.log
        if self.kernel.spec.kernel.probe_error_of_device:
            text = f"probe with driver {driver.name} failed with error {-number}"
            log.device(kmsg.ERR, driver.name, "dsa", name, text)
        else:
            text = f"{driver.name}: probe of {name} failed with error {-number}"
            log.printk(kmsg.WARNING, text)

    def release(self, thing: Bound) -> None:
        """Unbind an object from its driver."""
        name = thing.driver
        assert name is not None
        self.drivers[name].remove(thing)
        thing.driver = None
        self.kernel.directory_of(thing).remove("driver")
        self.folders.directory(name).remove(thing.sysname)
        path = self.kernel.path_of(thing)
        self.kernel.announce("unbind", path, self.kernel.directory_of(thing))

    def reattach(self, thing: Bound, driver: str) -> None:
        """Bind an object again, as the driver does after a reset; a refusal leaves it unbound."""
        self._try(self.drivers[driver], thing)

    def bind(self, thing: Bound, driver: str) -> None:
        """Bind an object as a write to `bind` does; raises what that returns."""
        self._attach(self.drivers[driver], thing)

    def _bind(self, driver: Driver, data: bytes) -> None:
        thing = self.find(data)
        if not isinstance(thing, driver.takes):
            raise refuse(errno.ENODEV)
        assert isinstance(thing, Idxd | WorkQueue)
        if thing.driver is not None:
            raise refuse(errno.EBUSY)
        self._attach(driver, thing)

    def _unbind(self, driver: Driver, data: bytes) -> None:
        thing = self.find(data)
        if not isinstance(thing, Idxd | WorkQueue) or thing.driver != driver.name:
            raise refuse(errno.ENODEV)
        self.release(thing)

    def _probe_one(self, data: bytes) -> None:
        thing = self.find(data)
        if thing is None:
            raise refuse(errno.ENODEV)
        if isinstance(thing, Idxd | WorkQueue):
            self.offer(thing)
