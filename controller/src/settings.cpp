#include "skerry/controller/settings.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/id.hpp"
#include "skerry/common/toml_reader.hpp"

namespace skerry::controller {
namespace {

using namespace std::chrono_literals;

Error invalid_setting(std::string message) {
  return Error{Error::Code::kConfigInvalid, std::move(message)};
}

void read_path(TomlTable& table, std::string_view key, std::filesystem::path& out) {
  std::string text = out.string();
  table.read(key, text);
  out = text;
}

void read_size(TomlTable& table, std::string_view key, std::uint64_t& out) {
  ByteSize size{out};
  table.read(key, size);
  out = size.bytes;
}

void read_level(TomlTable& table, LogLevel& out) {
  std::string text{to_string(out)};
  table.read("level", text);
  for (const auto level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (text == to_string(level)) {
      out = level;
      return;
    }
  }
  table.fail("level", "\"" + text + "\" is none of debug, info, warning, error");
}

Result<Config> read_config(TomlReader reader) {
  Config config;
  auto state = reader.table("state");
  read_path(state, "directory", config.state_directory);
  read_path(state, "policy_file", config.policy_file);

  auto server = reader.table("server");
  server.read("listen", config.server.listen);
  server.read("names", config.server.names);
  server.read("drain", config.server.drain);

  auto store = reader.table("store");
  store.read("backend", config.store.backend);
  store.read("connection", config.store.connection);

  auto identity = reader.table("identity");
  identity.read("trust_domain", config.identity.trust_domain);
  identity.read("tenant", config.identity.tenant);
  identity.read("site", config.identity.site);
  identity.read("ca_key", config.identity.ca_key);
  identity.read("server_key", config.identity.server_key);
  identity.read("online_key", config.identity.online_key);
  identity.read("director_key", config.identity.director_key);
  identity.read("audit_key", config.identity.audit_key);
  identity.read("device_certificate", config.identity.device_certificate);
  identity.read("on_clone", config.identity.on_clone);

  auto enrolment = reader.table("enrolment");
  enrolment.read("token_ttl", config.enrolment.token_ttl);
  enrolment.read("token_ttl_max", config.enrolment.token_ttl_max);

  auto trust = reader.table("trust");
  trust.read("snapshot_lifetime", config.trust.snapshot_lifetime);
  trust.read("timestamp_lifetime", config.trust.timestamp_lifetime);

  auto blobs = reader.table("blobs");
  read_size(blobs, "max_size", config.blobs.max_size);
  read_size(blobs, "message_size", config.blobs.message_size);

  auto deltas = reader.table("deltas");
  read_size(deltas, "cache", config.deltas.cache);

  auto rollout = reader.table("rollout");
  rollout.read("offline_after", config.rollout.offline_after);

  auto telemetry = reader.table("telemetry");
  telemetry.read("retention", config.telemetry.retention);

  auto log = reader.table("log");
  read_level(log, config.log.level);
  log.read("journald", config.log.journald);

  if (auto done = reader.finish(); !done) {
    return done.error();
  }
  return config;
}

// "host:port", with IPv6 hosts in brackets.
Result<void> check_listen(const std::string& listen) {
  const auto colon = listen.rfind(':');
  const bool digits = colon != std::string::npos && colon > 0 && colon + 1 < listen.size() &&
                      std::all_of(listen.begin() + static_cast<std::ptrdiff_t>(colon) + 1,
                                  listen.end(),
                                  [](char c) { return c >= '0' && c <= '9'; }) &&
                      listen.size() - colon <= 6 && std::stoi(listen.substr(colon + 1)) <= 65535;
  if (!digits) {
    return invalid_setting("server.listen is \"" + listen +
                           "\"; write host:port, as in \"0.0.0.0:8443\" or \"[::]:8443\"");
  }
  return {};
}

Result<void> check_range(std::string_view key,
                         std::chrono::milliseconds value,
                         std::chrono::milliseconds min,
                         std::chrono::milliseconds max) {
  if (value < min || value > max) {
    return invalid_setting(std::string{key} + " is " + std::to_string(value.count()) +
                           " ms; it must be from " + std::to_string(min.count()) + " to " +
                           std::to_string(max.count()) + " ms");
  }
  return {};
}

Result<void> check_identity(const IdentityConfig& identity) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  };
  const auto& domain = identity.trust_domain;
  if (domain.empty() || domain.size() > 200 || !std::all_of(domain.begin(), domain.end(), ok)) {
    return invalid_setting("identity.trust_domain is \"" + domain +
                           "\"; use lower-case letters, digits, '.', '-' and '_'");
  }
  if (identity.on_clone != "alert" && identity.on_clone != "quarantine") {
    return invalid_setting("identity.on_clone is \"" + identity.on_clone +
                           "\"; use \"alert\" or \"quarantine\"");
  }
  for (const auto& [name, key] : {std::pair{&identity.tenant, "identity.tenant"},
                                  std::pair{&identity.site, "identity.site"}}) {
    if (const auto named = check_name(*name, key); !named) {
      return invalid_setting(named.error().message());
    }
  }
  return {};
}

Result<void> check_times(const Config& config) {
  constexpr auto kDay = std::chrono::milliseconds{24h};
  if (auto r = check_range(
          "identity.device_certificate", config.identity.device_certificate, 10s, kDay * 3650);
      !r) {
    return r;
  }
  if (auto r =
          check_range("enrolment.token_ttl_max", config.enrolment.token_ttl_max, 1s, kDay * 366);
      !r) {
    return r;
  }
  if (auto r = check_range(
          "enrolment.token_ttl", config.enrolment.token_ttl, 1s, config.enrolment.token_ttl_max);
      !r) {
    return r;
  }
  if (auto r =
          check_range("trust.snapshot_lifetime", config.trust.snapshot_lifetime, 1h, kDay * 366);
      !r) {
    return r;
  }
  if (auto r = check_range("trust.timestamp_lifetime",
                           config.trust.timestamp_lifetime,
                           1h,
                           config.trust.snapshot_lifetime);
      !r) {
    return r;
  }
  if (auto r = check_range("rollout.offline_after", config.rollout.offline_after, 1s, kDay); !r) {
    return r;
  }
  if (auto r = check_range("telemetry.retention", config.telemetry.retention, 1h, kDay * 3660);
      !r) {
    return r;
  }
  return check_range("server.drain", config.server.drain, 0ms, 10min);
}

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string name) {
  auto reader = TomlReader::parse(toml, std::move(name));
  return reader ? read_config(std::move(*reader)) : reader.error();
}

Result<Config> load_config(FileSystem& fs, const std::filesystem::path& path) {
  auto reader = TomlReader::load(fs, path);
  return reader ? read_config(std::move(*reader)) : reader.error();
}

Result<Settings> Settings::finalize(Config config) {
  if (!config.state_directory.is_absolute()) {
    return invalid_setting("state.directory is \"" + config.state_directory.string() +
                           "\"; it must be an absolute path");
  }
  if (auto checked = check_listen(config.server.listen); !checked) {
    return checked.error();
  }
  if (config.server.names.empty() || config.server.names.size() > 64) {
    return invalid_setting("server.names must list 1 to 64 names or addresses of this controller");
  }
  if (config.store.backend == "postgresql") {
    return invalid_setting(
        "store.backend \"postgresql\" is not supported by this release; use \"sqlite3\"");
  }
  if (config.store.backend != "sqlite3") {
    return invalid_setting("store.backend is \"" + config.store.backend + "\"; use \"sqlite3\"");
  }
  if (auto checked = check_identity(config.identity); !checked) {
    return checked.error();
  }
  if (auto checked = check_times(config); !checked) {
    return checked.error();
  }
  constexpr std::uint64_t kKiB = 1024;
  if (config.blobs.message_size < 64 * kKiB || config.blobs.message_size > 2048 * kKiB) {
    return invalid_setting("blobs.message_size must be from \"64KiB\" to \"2MiB\"");
  }
  if (config.blobs.max_size < kKiB * kKiB || config.blobs.max_size > (1ULL << 40U)) {
    return invalid_setting("blobs.max_size must be from \"1MiB\" to \"1TiB\"");
  }
  const auto fill = [&config](std::string& uri, std::string_view name) {
    if (uri.empty()) {
      uri = "file:" + (config.state_directory / "keys" / name).string();
    }
  };
  fill(config.identity.ca_key, "ca.pem");
  fill(config.identity.server_key, "server.pem");
  fill(config.identity.online_key, "online.pem");
  fill(config.identity.director_key, "director.pem");
  fill(config.identity.audit_key, "audit.pem");
  if (config.store.connection.empty()) {
    config.store.connection = (config.state_directory / "controller.db").string();
  }
  if (config.policy_file.empty()) {
    config.policy_file = config.state_directory / "policy.json";
  }
  return Settings{std::move(config)};
}

}  // namespace skerry::controller
