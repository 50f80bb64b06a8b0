/** Pieces of the products' command lines. */

/** Root ports as libvirt numbers them on q35: eight to a slot, port 16 and chassis 1 on. */
export function libvirtPorts(count: number, firstSlot = 2): string {
  return Array.from({ length: count }, (_, i) => {
    const slot = firstSlot + Math.floor(i / 8);
    const fn = i % 8;
    const addr = fn === 0 ? `multifunction=on,addr=0x${slot.toString(16)}` : `addr=0x${slot.toString(16)}.0x${fn}`;
    return `-device pcie-root-port,port=${firstSlot * 8 + i},chassis=${i + 1},id=pci.${i + 1},bus=pcie.0,${addr}`;
  }).join(" ");
}

/** The four functions of ICH9's USB 2 controller as libvirt adds them. */
export const libvirtUsb2 = (slot: string, bus = "pci.0"): string =>
  `-device ich9-usb-ehci1,id=usb,bus=${bus},addr=${slot}.0x7
   -device ich9-usb-uhci1,masterbus=usb.0,firstport=0,bus=${bus},multifunction=on,addr=${slot}
   -device ich9-usb-uhci2,masterbus=usb.0,firstport=2,bus=${bus},addr=${slot}.0x1
   -device ich9-usb-uhci3,masterbus=usb.0,firstport=4,bus=${bus},addr=${slot}.0x2`;

export const LIBVIRT =
  "-overcommit mem-lock=off -no-user-config -nodefaults -rtc base=utc,driftfix=slew -global kvm-pit.lost_tick_policy=delay -no-shutdown -boot strict=on";
export const AGENT = (bus: string): string =>
  `-chardev null,id=charchannel0 -device virtserialport,bus=${bus},nr=1,chardev=charchannel0,id=channel0,name=org.qemu.guest_agent.0`;
export const RNG = "-object rng-builtin,id=objrng0 -device virtio-rng-pci,rng=objrng0,id=rng0";
export const SERIAL = "-chardev null,id=charserial0 -device isa-serial,chardev=charserial0,id=serial0,index=0";
export const PFLASH =
  "-drive if=pflash,unit=0,format=raw,readonly=on,file=$FLASH0 -drive if=pflash,unit=1,format=raw,file=$FLASH1";
export const UUID = "-uuid 7f2b1a8c-52f0-4b39-9a57-0d7f5f0e1c11";
