#include "skerry/agent/config.hpp"

#include <utility>

#include "skerry/common/id.hpp"

namespace skerry::agent {
namespace {

constexpr std::int64_t kNoMaximum = std::int64_t{1} << 40;

void read_choice(TomlTable& table,
                 std::string_view key,
                 std::string& out,
                 const std::vector<std::string>& choices) {
  table.read(key, out);
  if (!table.has(key)) {
    return;
  }
  for (const std::string& choice : choices) {
    if (choice == out) {
      return;
    }
  }
  std::string list;
  for (const std::string& choice : choices) {
    list += list.empty() ? "" : ", ";
    list += '"' + choice + '"';
  }
  table.fail(key, "must be one of " + list);
}

void read_path(TomlTable& table, std::string_view key, std::string& out) {
  table.read(key, out);
  if (table.has(key) && !out.empty() && out.front() != '/') {
    table.fail(key, "must be an absolute path");
  }
}

// A Unix socket's address holds 107 bytes.
void read_socket(TomlTable& table, std::string_view key, std::string& out) {
  read_path(table, key, out);
  if (table.has(key) && out.size() > 107) {
    table.fail(key, "a socket path has at most 107 bytes");
  }
}

void read_duration(TomlTable& table,
                   std::string_view key,
                   std::chrono::milliseconds& out,
                   std::chrono::milliseconds at_least) {
  table.read(key, out);
  if (table.has(key) && out < at_least) {
    table.fail(key, "must be at least " + std::to_string(at_least.count()) + "ms");
  }
}

void read_device(TomlTable table, DeviceConfig& device) {
  table.read("name", device.name);
  table.read("tenant", device.tenant);
  table.read("site", device.site);
}

void read_listen(TomlTable table, ListenConfig& listen) {
  read_socket(table, "api_socket", listen.api_socket);
  read_socket(table, "admin_socket", listen.admin_socket);
  read_socket(table, "http_socket", listen.http_socket);
  table.read("admin_group", listen.admin_group);
  table.read("max_message", listen.max_message);
  read_duration(table, "write_timeout", listen.write_timeout, std::chrono::milliseconds{100});
  if (table.has("max_message") &&
      (listen.max_message.bytes < 4096 || listen.max_message.bytes > (1ULL << 30U))) {
    table.fail("max_message", "must be between 4KiB and 1GiB");
  }
  table.read_int("max_connections", listen.max_connections, 8, 6000);
}

void read_http(TomlTable table, HttpConfig& http) {
  table.read("tcp", http.tcp);
  table.read("tcp_address", http.tcp_address);
  if (table.has("tcp_address")) {
    if (Result<HostPort> address = parse_host_port(http.tcp_address); !address) {
      table.fail("tcp_address", address.error().message());
    }
  }
  table.read("allowed_hosts", http.allowed_hosts);
  table.read("max_header", http.max_header);
  if (table.has("max_header") &&
      (http.max_header.bytes < 1024 || http.max_header.bytes > (1ULL << 20U))) {
    table.fail("max_header", "must be between 1KiB and 1MiB");
  }
  table.read("max_body", http.max_body);
  if (table.has("max_body") &&
      (http.max_body.bytes < 1024 || http.max_body.bytes > (1ULL << 30U))) {
    table.fail("max_body", "must be between 1KiB and 1GiB");
  }
  table.read_int("max_connections", http.max_connections, 1, 4096);
  read_duration(table, "header_timeout", http.header_timeout, std::chrono::milliseconds{100});
  read_duration(table, "idle_timeout", http.idle_timeout, std::chrono::milliseconds{100});
  read_duration(table, "write_timeout", http.write_timeout, std::chrono::milliseconds{100});
}

void read_runtime(TomlTable table, RuntimeConfig& runtime) {
  read_path(table, "worker", runtime.worker);
  read_path(table, "plugin_dir", runtime.plugin_dir);
  read_path(table, "engine_dir", runtime.engine_dir);
  table.read("worker_user", runtime.worker_user);
  read_choice(table, "sandbox", runtime.sandbox, {"best_effort", "standard", "strict"});
  table.read_int("threads", runtime.threads, 0, 1024);
  table.read("adapt_threads", runtime.adapt_threads);
  read_duration(
      table, "inter_token_target", runtime.inter_token_target, std::chrono::milliseconds{1});
  table.read_int("max_sequences", runtime.max_sequences, 1, 256);
  table.read("prefix_cache", runtime.prefix_cache);
  table.read_int("prefix_cache_tokens", runtime.prefix_cache_tokens, 0, 1 << 24);
  table.read("prefix_cache_disk", runtime.prefix_cache_disk);
  read_choice(table, "drafting", runtime.drafting, {"auto", "off"});
  table.read_int("context_length", runtime.context_length, 0, 1 << 24);
  table.read_int("max_queued", runtime.max_queued, 1, 65536);
  table.read_int("niceness", runtime.niceness, 0, 19);
  read_path(table, "cgroup", runtime.cgroup);
  read_duration(table, "request_timeout", runtime.request_timeout, std::chrono::milliseconds{100});
  table.read("idle_unload", runtime.idle_unload);
}

void read_endpoint(TomlTable table, UpstreamEndpointConfig& endpoint) {
  table.read("name", endpoint.name);
  if (!check_name(endpoint.name, "name")) {
    table.fail("name", "must be a name of a-z, 0-9, '.', '_' and '-'");
  }
  table.read("url", endpoint.url);
  if (!endpoint.url.starts_with("https://") && !endpoint.url.starts_with("http://")) {
    table.fail("url", "must be \"https://host[:port]/v1\"");
  }
  read_choice(table,
              "server",
              endpoint.server,
              {"vllm", "mlx_lm", "ollama", "foundry_local", "openai", "compatible"});
  read_choice(table, "tier", endpoint.tier, {"local", "site", "cloud"});
  if (!table.has("tier")) {
    table.fail("tier", R"(must say where the server stands: "local", "site" or "cloud")");
  }
  table.read_int("max_concurrent", endpoint.max_concurrent, 0, 4096);
  table.read("insecure_http", endpoint.insecure_http);
  read_path(table, "ca_file", endpoint.ca_file);
  read_path(table, "certificate_file", endpoint.certificate_file);
  read_path(table, "key_file", endpoint.key_file);
  read_path(table, "api_key_file", endpoint.api_key_file);
  if (endpoint.certificate_file.empty() != endpoint.key_file.empty()) {
    table.fail("certificate_file", "a client certificate needs certificate_file and key_file");
  }
}

void read_upstream(TomlTable table, UpstreamConfig& upstream) {
  constexpr std::chrono::milliseconds kLeast{100};
  read_duration(table, "connect_timeout", upstream.connect_timeout, kLeast);
  read_duration(table, "first_byte_timeout", upstream.first_byte_timeout, kLeast);
  read_duration(table, "idle_timeout", upstream.idle_timeout, kLeast);
  read_duration(table, "probe_interval", upstream.probe_interval, kLeast);
  table.read_int("max_waiting", upstream.max_waiting, 0, 65536);
  for (TomlTable& endpoint : table.tables("endpoint")) {
    read_endpoint(endpoint, upstream.endpoints.emplace_back());
  }
}

void read_controller(TomlTable table, ControllerConfig& controller) {
  table.read("address", controller.address);
  if (table.has("address") && !controller.address.empty()) {
    if (Result<HostPort> address = parse_host_port(controller.address); !address) {
      table.fail("address", address.error().message());
    }
  }
  table.read("server_name", controller.server_name);
  read_path(table, "token_file", controller.token_file);
  read_path(table, "ca_file", controller.ca_file);
  table.read("spki_pin", controller.spki_pin);
  if (table.has("spki_pin") && !controller.spki_pin.empty() &&
      !controller.spki_pin.starts_with("sha256:")) {
    table.fail("spki_pin", "must be \"sha256:<64 hexadecimal characters>\"");
  }
  read_choice(table, "renewal_key", controller.renewal_key, {"new", "same"});
}

void read_sync(TomlTable table, SyncConfig& sync) {
  table.read("max_bytes_per_second", sync.max_bytes_per_second);
  read_choice(table, "delta", sync.delta, {"auto", "always", "never"});
  table.read("derive", sync.derive);
  read_duration(table, "heartbeat", sync.heartbeat, std::chrono::milliseconds{100});
  read_duration(table, "backoff_first", sync.backoff_first, std::chrono::milliseconds{10});
  read_duration(table, "backoff_longest", sync.backoff_longest, std::chrono::milliseconds{10});
  read_duration(table, "renewal_spread", sync.renewal_spread, std::chrono::milliseconds{1});
}

void read_link(TomlTable table, LinkConfig& link) {
  table.read("daily", link.daily);
  table.read("monthly", link.monthly);
  table.read("quiet_hours", link.quiet_hours);
  for (const std::string& hours : link.quiet_hours) {
    if (Result<QuietHours> parsed = parse_quiet_hours(hours); !parsed) {
      table.fail("quiet_hours", parsed.error().message());
    }
  }
  table.read("quiet_hours_zone", link.quiet_hours_zone);
  table.read("metered", link.metered);
  read_path(table, "metered_file", link.metered_file);
  table.read("metered_daily", link.metered_daily);
}

void read_url_source(TomlTable table, UrlSourceConfig& source) {
  table.read("url", source.url);
  if (!source.url.starts_with("https://") || source.url.size() < 9 || source.url.size() > 2048) {
    table.fail("url", "must be \"https://host[:port][/path]\"");
  }
  while (source.url.ends_with('/')) {
    source.url.pop_back();
  }
  table.read("site", source.site);
  read_path(table, "ca_file", source.ca_file);
  read_path(table, "certificate_file", source.certificate_file);
  read_path(table, "key_file", source.key_file);
  read_path(table, "authorization_file", source.authorization_file);
  if (source.certificate_file.empty() != source.key_file.empty()) {
    table.fail("certificate_file", "a client certificate needs certificate_file and key_file");
  }
}

void read_sources(TomlTable table, SourcesConfig& sources) {
  table.read("parallel", sources.parallel);
  table.read("prefer_site", sources.prefer_site);
  table.read("folders", sources.folders);
  for (const std::string& folder : sources.folders) {
    if (folder.empty() || folder.front() != '/') {
      table.fail("folders", "must be absolute paths");
    }
  }
  for (TomlTable& url : table.tables("url")) {
    read_url_source(url, sources.urls.emplace_back());
  }
}

void read_peer(TomlTable table, PeerConfig& peer) {
  table.read("listen", peer.listen);
  if (table.has("listen") && !peer.listen.empty()) {
    if (Result<HostPort> address = parse_host_port(peer.listen); !address) {
      table.fail("listen", address.error().message());
    }
  }
  table.read("max_bytes_per_second", peer.max_bytes_per_second);
  table.read_int("max_connections", peer.max_connections, 1, 256);
  table.read("gateways", peer.gateways);
  for (const std::string& gateway : peer.gateways) {
    if (Result<HostPort> address = parse_host_port(gateway); !address) {
      table.fail("gateways", address.error().message());
    }
  }
}

void read_activation(TomlTable table, ActivationConfig& activation) {
  read_choice(table, "goal", activation.goal, {"quality", "speed", "size"});
  table.read("disk_reserve", activation.disk_reserve);
  table.read_int("probation_seconds", activation.probation_seconds, -1, kNoMaximum);
  table.read_int("probation_requests", activation.probation_requests, -1, kNoMaximum);
  read_duration(table,
                "probation_idle_extension",
                activation.probation_idle_extension,
                std::chrono::milliseconds{0});
  table.read_int("max_unclean_exits", activation.max_unclean_exits, 1, 100);
  read_duration(table, "fetch_deadline", activation.fetch_deadline, std::chrono::seconds{1});
  read_duration(table, "gate_deadline", activation.gate_deadline, std::chrono::seconds{1});
}

void read_storage(TomlTable table, StorageConfig& storage) {
  table.read("high_water", storage.high_water);
  table.read("low_water", storage.low_water);
  if (storage.low_water.bytes > storage.high_water.bytes) {
    table.fail("low_water", "must not be above high_water");
  }
  read_duration(table, "scrub_interval", storage.scrub_interval, std::chrono::milliseconds{0});
  table.read("scrub_rate", storage.scrub_rate);
  read_choice(table, "encryption", storage.encryption, {"off", "on"});
  table.read("encryption_key", storage.encryption_key);
  if (storage.encryption_key.empty()) {
    if (storage.encrypts()) {
      table.fail("encryption_key", "is needed where encryption is on: a key URI, file: or tpm:");
    }
    return;
  }
  if (!storage.encryption_key.starts_with("file:/") &&
      !storage.encryption_key.starts_with("tpm:")) {
    table.fail("encryption_key", "must be a file:/ or tpm: key, which can unwrap");
  }
}

void read_imports(TomlTable table, ImportConfig& imports) {
  table.read("signer_keys", imports.signer_keys);
  table.read("signer_anchors", imports.signer_anchors);
  table.read("signer_subjects", imports.signer_subjects);
  for (const auto& [key, files] : {std::pair{"signer_keys", &imports.signer_keys},
                                   std::pair{"signer_anchors", &imports.signer_anchors}}) {
    for (const std::string& file : *files) {
      if (file.empty() || file.front() != '/') {
        table.fail(key, "must be absolute paths");
      }
    }
  }
}

void read_policy_target(TomlTable& policy, std::string& target) {
  constexpr std::string_view kPrefix = "security/policy/";
  policy.read("target", target);
  if (!policy.has("target") || target.empty()) {
    return;
  }
  if (!target.starts_with(kPrefix) || !check_name(target.substr(kPrefix.size()), "name")) {
    policy.fail("target", "must be \"security/policy/<name>\", or empty for none");
  }
}

void read_audit(TomlTable table, AuditConfig& audit) {
  read_duration(
      table, "checkpoint_interval", audit.checkpoint_interval, std::chrono::milliseconds{100});
  table.read_int("checkpoint_records", audit.checkpoint_records, 1, 1 << 20);
}

void read_telemetry(TomlTable table, TelemetryConfig& telemetry) {
  read_duration(table, "interval", telemetry.interval, std::chrono::milliseconds{100});
  table.read("outbox", telemetry.outbox);
  if (table.has("outbox") && telemetry.outbox.bytes < (64ULL << 10U)) {
    table.fail("outbox", "must be at least 64KiB");
  }
}

Result<Config> read_config(TomlReader reader, std::string name) {
  Config config;
  config.source = std::move(name);
  TomlTable root = reader.root();
  read_path(root, "state_dir", config.state_dir);
  read_device(root.table("device"), config.device);
  TomlTable log = root.table("log");
  read_choice(log, "level", config.log.level, {"debug", "info", "warning", "error"});
  read_listen(root.table("listen"), config.listen);
  read_http(root.table("http"), config.http);
  read_runtime(root.table("runtime"), config.runtime);
  read_upstream(root.table("upstream"), config.upstream);
  TomlTable memory = root.table("memory");
  memory.read("budget", config.memory.budget);
  memory.read("reserve", config.memory.reserve);
  memory.read("pinned", config.memory.pinned);
  memory.read("preload", config.memory.preload);
  TomlTable policy = root.table("policy");
  read_path(policy, "file", config.policy.file);
  policy.read("bootstrap_admins", config.policy.bootstrap_admins);
  read_policy_target(policy, config.policy.target);
  read_audit(root.table("audit"), config.audit);
  TomlTable trust = root.table("trust");
  read_path(trust, "root_file", config.trust.root_file);
  read_path(trust, "director_root_file", config.trust.director_root_file);
  read_path(trust, "offline_root_file", config.trust.offline_root_file);
  TomlTable bundles = root.table("bundles");
  read_path(bundles, "watch", config.bundles.watch);
  read_duration(bundles, "interval", config.bundles.interval, std::chrono::milliseconds{100});
  read_controller(root.table("controller"), config.controller);
  read_sync(root.table("sync"), config.sync);
  read_link(root.table("link"), config.link);
  read_sources(root.table("sources"), config.sources);
  read_peer(root.table("peer"), config.peer);
  read_activation(root.table("activation"), config.activation);
  read_storage(root.table("storage"), config.storage);
  read_imports(root.table("import"), config.imports);
  read_telemetry(root.table("telemetry"), config.telemetry);
  if (Result<void> done = reader.finish(); !done) {
    return done.error();
  }
  return config;
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string name) {
  Result<TomlReader> reader = TomlReader::parse(text, name);
  if (!reader) {
    return reader.error();
  }
  return read_config(*std::move(reader), std::move(name));
}

Result<Config> load_config(FileSystem& fs, const std::filesystem::path& path) {
  Result<TomlReader> reader = TomlReader::load(fs, path);
  if (!reader) {
    return reader.error();
  }
  return read_config(*std::move(reader), path.string());
}

}  // namespace skerry::agent
