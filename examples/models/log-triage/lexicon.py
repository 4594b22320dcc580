"""Slot fillers and severity rules of the log-triage data set.

Names (hosts, devices, services ...) come in two disjoint vocabularies: TRAIN and HELDOUT. Numbers that decide a
severity are split by value: a held-out number never decides anything during training. Used by generate.py only.
"""

TRAIN = {
    "host": "gw-01 gw-02 gw-17 edge-a edge-b edge-north plant3-gw pump-gw site12 site40 turbine-7 box-114 kiosk9 "
            "rpi-lab weighbridge-gw gate-2 harbour-gw silo-east cell-4 mast-33".split(),
    "svc": "nginx postgres collectd telegraf influxd grafana mosquitto node-red dockerd rsyslogd historian opcua-server "
           "edge-sync camera-rec plc-bridge recipe-db label-print data-logger alarm-hub web-ui".split(),
    "mount": "/ /var /data /home /boot /var/log /srv/media /mnt/sd /opt/app /var/lib/docker".split(),
    "path": "/var/log/syslog /data/export.csv /srv/media/cam1.mp4 /etc/app/config.yaml /var/lib/app/state.db "
            "/opt/app/run.lock /home/op/report.txt /data/batch/17.json".split(),
    "disk": "sda sdb nvme0n1 mmcblk0 sdc mmcblk1 nvme1n1".split(),
    "part": "sda1 sda2 mmcblk0p2 nvme0n1p1 sdb1".split(),
    "iface": "eth0 eth1 enp3s0 wlan0 br0 lan1 eno1".split(),
    "word": "pump alpha tenant cache region token sensor-a line1 mode interval retries uploader".split(),
    "modem": "wwan0 ttyUSB2 modem0 cdc-wdm0 lte0".split(),
    "topic": "plant/line1/temp site/12/power sensors/a/raw fleet/status cam/1/event press/4/cycle".split(),
    "serial": "ttyS0 ttyUSB0 ttyAMA0 RS485-1 port1".split(),
    "ctr": "web-1 ingest db cam-proxy rules-engine mqtt-bridge app_main sync-job".split(),
    "img": "acme/web:1.4 registry.local/ingest:2.0 acme/rules:latest cam-proxy:3.1 tools/sync:0.9".split(),
    "ups": "UPS-1 ups0 APC-A eaton1".split(),
    "zone": "cpu-thermal zone0 soc zone1 gpu-thermal pch".split(),
    "fan": "fan1 fan2 case-fan FAN_A".split(),
    "sens": "PT100-1 temp-probe-2 AI3 hwmon2 sensor-7".split(),
    "user": "root admin pi oper deploy guest".split(),
    "pkg": "agent-core edge-app fw-main os-image model-pack driver-can".split(),
    "slot": "A B rootfs.0 rootfs.1".split(),
    "fqdn": "broker.acme.io ntp1.plant.lan api.acme.io hub.local time.acme.io mirror.plant.lan reg.acme.io".split(),
    "proc": "monitord gatewayd watchdog healthd agent syslog supervisor".split(),
}
HELDOUT = {
    "host": "fjord-gw dam5-ctl mill-edge-2 barge-08 quarry-gw windpark-19 lock-gate-3 kiln-box".split(),
    "svc": "caddy mariadb vector loki emqx thingsd bacnetd video-sink weigh-svc lims-push shiftbook".split(),
    "mount": "/usr /var/spool /mnt/usb /storage /var/cache /persist".split(),
    "path": "/var/log/messages /persist/calib.bin /storage/clip-9.mkv /etc/thingsd/main.toml /var/spool/out.q".split(),
    "disk": "vda xvdb nvme2n1 mmcblk2 sdf".split(),
    "part": "vda3 mmcblk2p1 sdf2 nvme2n1p4".split(),
    "iface": "enp0s25 wlp2s0 lan4 usb0 bond0".split(),
    "word": "hopper zulu stage quota lot-size gateway-id burner horizon".split(),
    "modem": "wwan1 ttyACM3 modem2 mhi0".split(),
    "topic": "mill/saw2/rpm barge/8/fuel dam/level kiln/zone5/heat".split(),
    "serial": "ttyS4 ttyACM0 RS485-3 com2".split(),
    "ctr": "frontend_3 vision-core kv-store spooler gis-tiles".split(),
    "img": "mill/vision:7.2 hub.barge.net/kv:11 gis/tiles:stable spool:0.3.8".split(),
    "ups": "UPS-C riello2 battery-cabinet".split(),
    "zone": "acpitz zone4 ddr-thermal vpu".split(),
    "fan": "fan6 rear-blower FAN_D".split(),
    "sens": "PT1000-9 ntc-inlet AI11 hwmon5".split(),
    "user": "svc_backup helga ubuntu scada7".split(),
    "pkg": "kiln-fw dam-suite base-rootfs vision-pack".split(),
    "slot": "C slot_b system1".split(),
    "fqdn": "mq.barge.net clock.mill.example core.dam.example cr.windpark.net ns2.kiln.example".split(),
    "proc": "edgemon fieldagentd sentry-unit nodecheck".split(),
}
# Processes that hint at a component; the baseline may use them too.
COMPONENT_PROC = {
    "storage": ("kernel smartd udisksd", "kernel mdadm"), "memory": ("kernel earlyoom systemd", "kernel oomd"),
    "network": ("NetworkManager kernel systemd-networkd", "connman kernel"),
    "cellular": ("ModemManager pppd", "ofonod qmi-proxy"), "mqtt": ("mosquitto bridge mqtt-client", "emqx pubd"),
    "modbus": ("modbusd plc-bridge mbpoll", "rtu-gw fieldbus"), "container": ("dockerd containerd podman", "kubelet crio"),
    "power": ("upsmon kernel acpid", "apcupsd nut"), "thermal": ("thermald kernel fancontrol", "lm-sensors kernel"),
    "auth": ("sshd sudo audit", "pam polkitd"), "time": ("chronyd kernel systemd-timesyncd", "ntpd kernel"),
    "update": ("rauc swupdate apt", "mender ostree"),
}

# Numbers that decide the severity: slot -> {severity: (low, high)}, inclusive.
NUMERIC = {
    "used": {"info": (5, 79), "warning": (80, 89), "error": (90, 95), "critical": (96, 100)},
    "batt": {"info": (51, 100), "warning": (21, 50), "error": (8, 20), "critical": (0, 7)},
    "temp": {"info": (21, 69), "warning": (70, 84), "error": (85, 99), "critical": (100, 125)},
    "rssi": {"info": (45, 70), "warning": (71, 85), "error": (86, 100), "critical": (101, 125)},
    "loss": {"info": (0, 2), "warning": (3, 14), "error": (15, 49), "critical": (50, 100)},
    "offs": {"info": (1, 49), "warning": (50, 999), "error": (1000, 60000)},
    "fails": {"warning": (1, 4), "error": (5, 49), "critical": (50, 900)},
    "rst": {"warning": (1, 2), "error": (3, 9), "critical": (10, 90)},
    "days": {"info": (31, 365), "warning": (8, 30), "error": (1, 7), "critical": (0, 0)},
    "lat": {"info": (1, 199), "warning": (200, 999), "error": (1000, 9000)},
    "sect": {"info": (0, 0), "warning": (1, 9), "error": (10, 99), "critical": (100, 4000)},
    "volt": {"info": (220, 252), "warning": (200, 219), "error": (180, 199), "critical": (90, 179)},  # tenths
}
HELDOUT_MODULUS = 7  # for the i-th slot the numbers v with (v - i) % 7 == 0 are held out, where the range has 7 or more

# Clauses that change the meaning of any message. {m} is the message. (train, held-out)
RESOLVED = (
    ["{m}; recovered after {n} s", "{m} (cleared)", "resolved: {m}", "alarm cleared: {m}", "{m}, condition cleared",
     "back to normal: {m}", "{m} - restored", "no longer active: {m}", "{m}; now ok again", "recovered: {m}", "{m}, since resolved",
     "{m}; back to normal", "cleared: {m}", "has ended: {m}", "{m} - no longer the case"],
    ["{m}; cleared after {n} s", "condition resolved: {m}", "{m}, no longer active", "{m} - back to normal"])
SIMULATED = (
    ["self-test: {m}", "drill: {m}", "{m} [test mode]", "simulated fault, ignore: {m}", "{m} (exercise only)",
     "test message: {m}", "injected by test: {m}", "{m} (drill)", "simulation: {m}", "only an exercise: {m}",
     "{m}; this is a test", "ignore, self-test running: {m}"],
    ["exercise: {m}", "{m} (self-test)", "simulated: {m}", "{m} - test only, ignore"])
REPEATED = (
    ["{m} (repeated {rep} times)", "message repeated {rep} times: {m}", "{m}; {rep} occurrences today",
     "{m} [{rep} times in an hour]", "occurred {rep} times: {m}", "{m}, {rep} times today",
     "{rep} repeats: {m}", "{m} (seen {rep} times)"],
    ["repeated {rep} times: {m}", "{m}; seen {rep} times today", "{m} ({rep} occurrences)"])
STANDBY = (
    ["standby unit: {m}", "{m} (spare unit)", "on backup gateway: {m}", "{m}, standby path only", "spare: {m}",
     "redundant node: {m}", "{m} - backup unit", "standby gateway, {m}", "{m} (redundant)", "spare node: {m}"],
    ["backup node: {m}", "{m} (standby)", "spare gateway: {m}", "redundant unit, {m}"])
PRIMARY = (
    ["primary unit: {m}", "{m} (primary)", "main gateway: {m}", "active node: {m}"],
    ["primary gateway: {m}", "{m} (main unit)"])
NEUTRAL = (
    ["uptime {n} d", "battery ok", "disk ok", "no other faults", "link ok", "load 0.{d}", "temperature normal",
     "clock in sync", "mqtt session ok", "fan ok", "next check in {n} s", "signal good", "firmware {ver}", "memory ok"],
    ["all fans ok", "clock ok", "broker ok", "no other alarms", "up for {n} d", "battery normal", "disk healthy"])

STYLES_TRAIN = [
    (12, "{proc}[{pid}]: {m}"), (10, "{proc}: {m}"), (6, "{host} {proc}[{pid}]: {m}"), (6, "<{pri}>{proc}: {m}"),
    (5, "{lvl} {proc}: {m}"), (5, "[{up}] {m}"), (3, "{ts} {host} {proc}: {m}"), (3, "level={lvl} src={proc} msg=\"{m}\""),
    (2, "{{\"log\":\"{m}\",\"stream\":\"stderr\"}}"), (3, "{m}"), (2, "{iso} {proc} {lvl} {m}"),
]
STYLES_HELDOUT = [
    (6, "{proc} | {lvl} | {m}"), (4, "({host}) {proc}: {m}"), (4, "{proc}[{pid}] {lvl}: {m}"), (3, "{iso} {host} {m}"),
    (3, "lvl={lvl} unit={proc} text=\"{m}\""), (2, "[{proc}] {m}"), (4, "{proc}: {m}"),
]
LEVEL_WORDS = {"critical": ["crit", "CRITICAL", "FATAL", "emerg"], "error": ["err", "ERROR", "E"],
               "warning": ["warn", "WARNING", "W"], "info": ["info", "INFO", "notice", "I"]}
LEVEL_PRI = {"critical": [0, 1, 2], "error": [3], "warning": [4], "info": [5, 6]}
