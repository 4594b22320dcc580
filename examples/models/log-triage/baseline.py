#!/usr/bin/env python3
"""A rule-based baseline: what a careful engineer writes with regular expressions (standard library only).

    baseline.py [eval.jsonl]     accuracy per field and of the whole answer
    baseline.py --line 'text'    triage of one line

The rules were written from the training templates: keywords choose the cause (the best-scoring cause wins), numbers and
words choose the severity by the same thresholds that the data uses, and clauses such as "cleared" or "standby" change it.
"""
import json
import os
import re
import sys

# cause -> (component, soft action, hard action, [(weight, pattern)])
RULES = {
    "disk_full": ("storage", "rotate_logs", "free_space", [
        (3, r"no space left|ENOSPC|no free space|volume full|disk (is full|quota)|bytes (left|free)"),
        (2, r"(free|available) space"), (2, r"% (full|used|capacity|of space)"),
        (1, r"(usage|occupancy) of /|filesystem|partition|volume"),
        (4, r"no room|little room|% .*occupied by files|disk space|can be stored")]),
    "inode_exhaustion": ("storage", "rotate_logs", "free_space", [
        (5, r"inode(?! (bitmap))"), (-4, r"corrupt inode")]),
    "bad_sectors": ("storage", "schedule_backup", "replace_disk", [
        (3, r"sector|SMART|medium error|uncorrectable"), (2, r"read error|(bad|unreadable) (block|sector)"),
        (2, r"drive failure|health"), (4, r"drive \S+ failed|health declining")]),
    "fs_readonly": ("storage", "run_fsck", "run_fsck", [
        (4, r"read-?only|EROFS"), (3, r"EXT4|btrfs|ext4|journal|unmount|inode table")]),
    "flash_wear": ("storage", "schedule_backup", "replace_disk", [
        (4, r"eMMC|wear|flash|EOL|endurance|write cycles|rated write|(spare|reserve) blocks"),
        (4, r"erase cycles|late life|reserve shrinking|flash life|spare block")]),
    "io_timeout": ("storage", "check_cable", "replace_disk", [
        (3, r"(command|request|I/O|DMA|status) .*time(d )?out|I/O timeout|DMA timeout"),
        (2, r"resetting link|link reset|blocked for|waiting for"), (3, r"(write|read) latency"), (2, r"ata\d|mmc\d"),
        (4, r"mean response|link had to be reset|reading from \S+ takes|no response from")]),
    "oom_kill": ("memory", "limit_memory", "add_memory", [
        (5, r"oom|OOM|[Oo]ut of memory"), (3, r"memory (high )?limit|memory cgroup"),
        (4, r"memory ran out|memory (is|was) exhausted|kernel ended|sacrificed|high memory limit")]),
    "memory_leak": ("memory", "restart_service", "restart_service", [
        (4, r"leak"), (3, r"grew|grows|growing|growth|never frees|heap"),
        (4, r"MB more|memory share|rising memory use|steadily risen|never returns")]),
    "ecc_error": ("memory", "schedule_backup", "replace_memory", [
        (5, r"ECC|EDAC|DIMM|mce|machine check|bit flip|(un)?corrected (memory )?error"),
        (4, r"memory page|memory fault|bit errors|uncorrectable fault")]),
    "link_down": ("network", "check_cable", "check_cable", [
        (4, r"[Ll]ink( is)? ([Dd]own|[Uu]p|flapping)|carrier|CARRIER"),
        (3, r"Mbit|duplex|uplinks? (down|lost)|every uplink"), (4, r"no link on|changes of carrier|uplink")]),
    "dns_failure": ("network", "check_dns", "check_dns", [
        (4, r"SERVFAIL|NXDOMAIN|nameserver|resolver|name resolution|DNS|resolve host"), (2, r"lookup|resolution"),
        (4, r"no address found|translate")]),
    "packet_loss": ("network", "reduce_traffic", "check_path", [
        (4, r"packet loss|% loss|packets? (lost|dropped)|of packets|retransmission"), (3, r"loss on|path to"),
        (1, r"ping|probe \d"), (4, r"of all packets|probes to|hardly a packet|many packets|% were lost")]),
    "dhcp_failure": ("network", "renew_lease", "renew_lease", [
        (5, r"DHCP|dhcp|lease"), (4, r"requesting an address")]),
    "address_conflict": ("network", "reassign_address", "reassign_address", [
        (5, r"conflict detected|address conflict|duplicate address|also claimed|is used by|taken by|owns \d|"
            r"answers for"), (4, r"two hosts|another host|our address|sent ARP")]),
    "firewall_block": ("network", "fix_firewall", "fix_firewall", [
        (5, r"firewall|nftables|iptables|by rule|DROP"), (4, r"closed to|kept from port|lock out all")]),
    "weak_signal": ("cellular", "move_antenna", "move_antenna", [
        (4, r"dBm|RSSI|signal (strength|weak|poor|too weak)|no signal|received power|cell found"),
        (4, r"reception|lack of signal")]),
    "sim_error": ("cellular", "replace_sim", "replace_sim", [
        (5, r"SIM|CME|PUK|PIN"), (4, r"card in|card of|SIM card")]),
    "registration_denied": ("cellular", "contact_operator", "contact_operator", [
        (4, r"registration|not registered|searching for a network|PDP|APN|IMEI"),
        (4, r"not admitted|found no network|attach attempt|denied \S+ the APN|operator (refused|rejected)")]),
    "data_cap": ("cellular", "reduce_traffic", "reduce_traffic", [
        (5, r"data plan|data volume|monthly data|data cap|roam|of the plan"),
        (4, r"plan of|in the plan|of the cap|home network")]),
    "broker_unreachable": ("mqtt", "check_broker", "check_broker", [
        (3, r"broker|CONNACK|mqtt: |mqtt bridge|keepalive|reconnect"), (1, r"refused|timed out"),
        (4, r"mqtt attempt|accept connections")]),
    "client_rejected": ("mqtt", "renew_credentials", "renew_credentials", [
        (5, r"credentials|user name or password|authori[sz]ed|password of|account disabled|client .* was refused"),
        (1, r"client"), (4, r"does not authorise|mqtt login|refuses all clients")]),
    "queue_overflow": ("mqtt", "reduce_rate", "reduce_rate", [
        (5, r"queue|outbox over|backlog|arrive faster")]),
    "payload_invalid": ("mqtt", "fix_publisher", "fix_publisher", [
        (5, r"payload|malformed|decode|protobuf|CBOR|out of range|larger than the limit|invalid JSON"),
        (4, r"in a message of|unexpected field|unknown field|message at")]),
    "slave_timeout": ("modbus", "check_wiring", "check_wiring", [
        (4, r"(slave|unit)s? (\d+ )?.*(timeout|timed out|did not answer|no response|answered late|silent)|poll of"),
        (4, r"polled|(slave|unit) \d+ silent|late to answer|no unit answers|bus is dead")]),
    "crc_error": ("modbus", "check_wiring", "check_wiring", [
        (5, r"CRC|framing|parity|bus noise|valid frame"), (4, r"frames .*damaged")]),
    "illegal_address": ("modbus", "fix_register_map", "fix_register_map", [
        (5, r"register|illegal (data )?address|exception (code )?0?2")]),
    "baud_mismatch": ("modbus", "fix_serial_config", "fix_serial_config", [
        (5, r"baud|garbage|serial settings|8N1|port cannot be configured"), (4, r"baud of|do not fit")]),
    "crash_loop": ("container", "rollback_image", "rollback_image", [
        (4, r"restarted \d+|back-off|exited|restart limit|never became ready"),
        (4, r"crashing|crashes|count of restarts|restarted \d+|was restarted")]),
    "image_pull_failed": ("container", "check_registry", "check_registry", [
        (5, r"[Pp]ull|registry|manifest unknown|ImagePull|image .* (pulled|for)|no image"),
        (4, r"fetching image|has no image|limits our rate")]),
    "healthcheck_failed": ("container", "restart_service", "restart_service", [
        (5, r"health (check|probe)|unhealthy|readiness|/health"),
        (4, r"health endpoint|probe attempt|one health probe")]),
    "config_error": ("container", "fix_config", "fix_config", [
        (4, r"environment variable|configuration|deprecated|unknown key|refused to start|cannot parse"),
        (4, r"variable \S+ is not set|will not start")]),
    "low_battery": ("power", "charge_battery", "replace_battery", [
        (4, r"(UPS )?battery (charge|at|aged|weak|test|needs|empty)|% (battery|charge)|battery$"), (1, r"battery"),
        (4, r"of its charge|remaining charge|did not pass the test|is empty, shutdown|battery in \S+ is getting old")]),
    "mains_loss": ("power", "switch_to_backup", "switch_to_backup", [
        (5, r"mains|utility power|power input|input (lost|failed)|brownout(?! (det|loop))"),
        (4, r"(mains|power|input).*battery")]),
    "undervoltage": ("power", "check_supply", "check_supply", [
        (5, r"[Uu]nder-?voltage|supply|DC input|\d V\b|brownout (det|loop)"),
        (4, r"brownout detector|input voltage|supply terminals")]),
    "overheating": ("thermal", "improve_cooling", "throttle_load", [
        (4, r"temperature \d|degrees|cooling|throttling|trip point|thermal shutdown|reads \d+ C"),
        (4, r"\d+ C at|too hot|overheats|warm, passive")]),
    "fan_failure": ("thermal", "clean_fan", "replace_fan", [
        (5, r"rpm|stalled|bearing noise|does not spin|fans? stopped|tachometer"), (1, r"fan"),
        (4, r"stands still|turns too slowly|is turning")]),
    "sensor_fault": ("thermal", "replace_sensor", "replace_sensor", [
        (5, r"open circuit|short circuit|reading|implausible|jumps|safety sensor|no data"),
        (4, r"broken wire|same value|no valid value")]),
    "brute_force": ("auth", "block_source", "block_source", [
        (5, r"failed (logins|passwords)|authentication failures|invalid user|root login|brute|locked after"),
        (4, r"wrong passwords|guessed the root|locked out")]),
    "cert_expiry": ("auth", "renew_certificate", "renew_certificate", [
        (5, r"certificate .*(expire|expires|expired|valid)|validity|days (until|left)"), (2, r"certificate"),
        (4, r"certificate \S+ has \d+ days|days to go|expired certificate|certificate has expired")]),
    "permission_denied": ("auth", "fix_permissions", "fix_permissions", [
        (5, r"permission denied|EACCES|sudoers|apparmor|seccomp|access (refused|not allowed)|tried to read"),
        (4, r"may not open|allowed access|no right to use|access of")]),
    "key_mismatch": ("auth", "verify_identity", "verify_identity", [
        (5, r"host key|public key|signature key|offered by|handshake|self-signed|unknown authority"),
        (4, r"different key|another key|key that is unknown|signs with")]),
    "clock_drift": ("time", "sync_clock", "sync_clock", [
        (5, r"clock offset|time differs|clock (stepped|slewed|jumped|is years)|backwards"),
        (4, r"clock is|offset of the clock|jumped back|clock was corrected")]),
    "ntp_unreachable": ("time", "check_ntp", "check_ntp", [
        (5, r"ntp|chrony|time source|sources"), (4, r"NTP|time request")]),
    "rtc_failure": ("time", "replace_rtc_battery", "replace_rtc_battery", [
        (6, r"rtc\d|hwclock|oscillator")]),
    "signature_invalid": ("update", "reject_package", "reject_package", [
        (5, r"signature|checksum|signed by|tampered")]),
    "download_interrupted": ("update", "resume_download", "resume_download", [
        (5, r"download|transfer stalled|connection reset"), (4, r"fetching \S+ failed|transfer of")]),
    "version_conflict": ("update", "pin_version", "pin_version", [
        (5, r"version|requires|needs agent|conflicts with|breaks|older than|dependency"), (-3, r"signature"),
        (4, r"agent \d|older than|wants agent|cannot be installed together|too old")]),
    "boot_failure": ("update", "rollback_image", "rollback_image", [
        (5, r"slot|bootable|boot (of|attempt)|booted|panicked"), (4, r"did not boot|neither slot|not confirmed")]),
}
CRITICAL = re.compile(
    r"replace at once|neither|shutdown follows|context corrupt|panic|services are stopping|(all|"
    r"any) writes|data loss likely|no uplink left|gateway is unreachable|no address left|bus is dead|"
    r"process stopped|service down|imminent|all signatures|certificates invalid|possible attack|"
    r"installation blocked|no default usable|deadlocked|worn out|FAILED|root filesystem is|every uplink|"
    r"all fans|every inode|cannot be saved|leaked|last uplink|bad rule set|lock out all|every client|"
    r"all clients|overflow|loop|continuously|is empty|not one fan|device certificate|"
    r"signatures rejected|rescue shell|root (password|login)|kernel panic|root filesystem|out of inodes|"
    r"for every service|time unknown|restart limit|never became|no bootable|interlock|brute force|"
    r"barred|tampered|start, restart given up|given up, restart")
WARNING = re.compile(
    r"count of|declining|not cleanly|uncleanly|advised|pre-EOL|MB more|rising|Mbit|silent|sent again|"
    r"NAK|seems|possible conflict|filtered|searching|missed|will expire|faster|growing|clamped|"
    r"default used|one frame|unknown entries|missing in the map|baud differs|another baud|settings of|"
    r"mains dip|brownout, |dipped|passive|soft|unstable|fluctuates|same value|was not allowed|"
    r"self-signed|key that is|stopped at|possible,|possible$|limits our rate|oom kill possible|expiring|"
    r"blocked for|link reset|(?<!un)corrected|goes up and down|firewall denied|invalid user|tried to|"
    r"may (be|get) lost|rtc\d lost|in frame from|will retry|retry|slow|weak|poor|below|under|"
    r"running low|flapping|once|late|ignored|skipped|deprecated|soon|suspected|increasing|"
    r"above the soft|recommended|unusual|roaming|interrupted|reconnecting|closed the connection|"
    r"not trusted|aged|fallback|throttled|recorded|refused access|slewed|stepped|stuck|jumps|DROP|"
    r"unknown user|resetting|grace|old|mixed|not confirmed")
INFO = re.compile(r"link up|Link is Up|reloaded|pulled, digest|mains (present|ok)|selected source|signature verified|downloaded,")
RESOLVED = re.compile(r"has ended|no longer the case|\brecovered|cleared|resolved|back to normal|restored|no longer active|now ok again")
SIMULATED = re.compile(r"self-test|drill|test mode|simulated|exercise|simulation|this is a test|test message|injected by test")
STANDBY = re.compile(r"standby|spare (unit|node|:)|spare:|on backup gateway|redundant|backup unit")
REPEATED = re.compile(r"(?:repeated|occurred) (\d+) times|(\d+) occurrences|, (\d+) times today|(\d+) repeats|seen (\d+) times|\[(\d+) times")
ATTEMPT = re.compile(r"(?:attempt|try) (\d+)(?:/| of )(\d+)")


def band(value, warning, error, critical, falling=False):
    if falling:
        value, warning, error, critical = -value, -warning, -error, -critical
    return 3 if value >= critical else 2 if value >= error else 1 if value >= warning else 0


def numeric(cause, text):
    """The severity that a number decides, or None."""
    def find(pattern):
        match = re.search(pattern, text)
        return float(match[1]) if match else None

    attempt = ATTEMPT.search(text)
    if attempt:
        return 2 if attempt[1] == attempt[2] else 1
    never = float("inf")
    table = {
        "packet_loss": (r"(\d+)%", 3, 15, 50, False), "crc_error": (r"(\d+)%", 3, 15, 50, False),
        "low_battery": (r"(\d+)%", 50, 20, 7, True), "overheating": (r"(\d+) (?:C\b|degrees)", 70, 85, 100, False),
        "weak_signal": (r"-(\d+) dBm", 71, 86, 101, False), "clock_drift": (r"(?:offset|by|is) (\d+) ms", 50, 1000, never, False),
        "brute_force": (r"(\d+) (?:failed|authentication|wrong)", 1, 5, 50, False), "crash_loop": (r"(?:restarted |for \S+: )(\d+)(?! of)", 1, 3, 10, False),
        "cert_expiry": (r"(\d+) days", 30, 7, 0, True), "bad_sectors": (r"(\d+) (?:reallocated|remapped|pending|bad|unreadable|sectors)", 1, 10, 100, False),
        "undervoltage": (r"(\d+\.\d) V", 21.9, 19.9, 17.9, True), "dns_failure": (r"(?:took|after) (\d+) ms", 200, 1000, never, False),
        "io_timeout": (r"(\d+) ms", 200, 1000, never, False), "healthcheck_failed": (r"(?:in|took) (\d+) ms", 200, 1000, never, False),
    }
    pattern, *limits = table.get(cause, (r"(\d+)%", 80, 90, 96, False))
    value = find(pattern)
    if value is None or cause == "download_interrupted":
        return None
    return band(value, *limits)


def triage(line):
    line = line.replace(" percent", "%")
    best = max(RULES, key=lambda name: sum(w for w, p in RULES[name][3] if re.search(p, line)))
    component, soft, hard, _ = RULES[best]
    level = numeric(best, line)
    if level is None:
        level = (3 if CRITICAL.search(line) else 0 if INFO.search(line) else 1 if WARNING.search(line) else 2)
    repeated = REPEATED.search(line)
    if RESOLVED.search(line) or SIMULATED.search(line):
        level = 0
    elif repeated and level > 0 and int(next(g for g in repeated.groups() if g)) >= 10:
        level = min(level + 1, 3)
    elif STANDBY.search(line):
        level = max(level - 1, 0)
    return {"severity": ["info", "warning", "error", "critical"][level], "component": component, "cause": best,
            "action": ["none", soft, hard, hard][level]}


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--line":
        print(json.dumps(triage(sys.argv[2]), separators=(",", ":")))
        return
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "eval.jsonl")
    hits, count = dict.fromkeys(["exact", "severity", "component", "cause", "action"], 0), 0
    with open(path, encoding="utf-8") as file:
        for row in map(json.loads, file):
            got = triage(row["prompt"].removeprefix("[INST] ").removesuffix(" [/INST]"))
            count += 1
            hits["exact"] += got == row["expect"]
            for field, want in row["expect"].items():
                hits[field] += got[field] == want
    print(json.dumps({name: round(n / count, 4) for name, n in hits.items()} | {"lines": count}))


if __name__ == "__main__":
    main()
