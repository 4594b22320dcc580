#include <charconv>
#include <utility>

#include "skerry/agent/config.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/id.hpp"

namespace skerry::agent {
namespace {

Error invalid(const Config& config, std::string_view option, std::string_view problem) {
  return Error{Error::Code::kConfigInvalid,
               config.source + ": " + std::string{option} + ": " + std::string{problem}};
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

LogLevel level_of(std::string_view name) {
  if (name == "debug") {
    return LogLevel::kDebug;
  }
  if (name == "warning") {
    return LogLevel::kWarning;
  }
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

Result<void> check_controller(const Config& config) {
  const ControllerConfig& controller = config.controller;
  if (controller.address.empty()) {
    if (!controller.token_file.empty()) {
      return invalid(config, "controller.token_file", "needs controller.address");
    }
    return {};
  }
  if (!controller.spki_pin.empty()) {
    if (Result<Digest> pin = Digest::parse(controller.spki_pin); !pin) {
      return invalid(config, "controller.spki_pin", pin.error().message());
    }
  }
  return {};
}

// The controller is one more, and a fetch asks 16 at most.
constexpr std::size_t kMaxSources = 15;

Result<void> check_sources(const Config& config) {
  const std::size_t count =
      config.sources.folders.size() + config.sources.urls.size() + config.peer.gateways.size();
  if (count > kMaxSources) {
    return invalid(config,
                   "sources",
                   "at most 15 folders, URLs and gateways together, not " + std::to_string(count));
  }
  return {};
}

Result<void> check_names(const Config& config) {
  for (const auto& [option, value] : {std::pair{"device.tenant", &config.device.tenant},
                                      std::pair{"device.site", &config.device.site}}) {
    if (value->empty()) {
      continue;
    }
    if (Result<void> name = check_name(*value, option); !name) {
      return invalid(config, option, name.error().message());
    }
  }
  return {};
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const Error bad{Error::Code::kInvalidArgument,
                  "\"" + std::string{text} + "\" is not of the form host:port"};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return bad;
  }
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 4) {
      return bad;
    }
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad;
  }
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (ec != std::errc{} || end != digits.data() + digits.size() || digits.empty()) {
    return bad;
  }
  return HostPort{std::string{host}, port};
}

Result<Settings> finalize(Config config, const Environment& environment) {
  for (const auto& check : {check_controller(config), check_names(config), check_sources(config)}) {
    if (!check) {
      return check.error();
    }
  }
  if (config.state_dir.empty()) {
    return invalid(config, "state_dir", "must not be empty");
  }
  if (config.listen.api_socket.empty() || config.listen.admin_socket.empty()) {
    return invalid(config, "listen.api_socket, listen.admin_socket", "must not be empty");
  }
  if (config.listen.api_socket == config.listen.admin_socket ||
      config.listen.api_socket == config.listen.http_socket ||
      config.listen.admin_socket == config.listen.http_socket) {
    return invalid(config, "listen", "every socket needs a path of its own");
  }
  Result<HostPort> http = parse_host_port(config.http.tcp_address);
  if (!http) {
    return invalid(config, "http.tcp_address", http.error().message());
  }
  if (config.http.tcp && !is_loopback(http->host)) {
    return invalid(config,
                   "http.tcp_address",
                   "only a loopback address may be listened on: there is no TLS here; put a proxy "
                   "with TLS in front of it");
  }
  Result<HostPort> peer{HostPort{}};
  if (!config.peer.listen.empty()) {
    peer = parse_host_port(config.peer.listen);
    if (!peer) {
      return invalid(config, "peer.listen", peer.error().message());
    }
  }
  if (config.sync.backoff_longest < config.sync.backoff_first) {
    return invalid(config, "sync.backoff_longest", "must not be less than sync.backoff_first");
  }
  if (!config.bundles.watch.empty() && config.trust.offline_root_file.empty()) {
    return invalid(config, "bundles.watch", "needs trust.offline_root_file: it directs bundles");
  }

  Settings settings;
  settings.state_dir_ = config.state_dir;
  settings.log_level_ = level_of(config.log.level);
  settings.journald_ = environment.under_journald;
  settings.http_address_ = *std::move(http);
  for (const std::string& hours : config.link.quiet_hours) {
    Result<QuietHours> quiet = parse_quiet_hours(hours);
    if (!quiet) {
      return invalid(config, "link.quiet_hours", quiet.error().message());
    }
    settings.quiet_hours_.push_back(*quiet);
  }
  Result<TimeZone> zone = TimeZone::find(config.link.quiet_hours_zone);
  if (!zone) {
    return invalid(config, "link.quiet_hours_zone", zone.error().message());
  }
  settings.quiet_hours_zone_ = *std::move(zone);
  settings.peer_address_ = *std::move(peer);
  settings.worker_ = config.runtime.worker.empty() ? environment.program_dir / "skerry-worker"
                                                   : std::filesystem::path{config.runtime.worker};
  settings.plugin_dir_ = config.runtime.plugin_dir.empty()
                             ? environment.program_dir.parent_path() / "lib/skerry/plugins"
                             : std::filesystem::path{config.runtime.plugin_dir};
  if (config.device.name.empty()) {
    config.device.name = environment.host_name;
  }
  settings.config_ = std::move(config);
  return settings;
}

std::vector<std::string> needs_restart(const Settings& running, const Settings& reloaded) {
  std::vector<std::string> changed;
  const auto compare = [&changed](std::string_view option, const auto& before, const auto& after) {
    if (!(before == after)) {
      changed.emplace_back(option);
    }
  };
  compare("state_dir", running.state_dir(), reloaded.state_dir());
  compare("listen.api_socket", running.listen().api_socket, reloaded.listen().api_socket);
  compare("listen.admin_socket", running.listen().admin_socket, reloaded.listen().admin_socket);
  compare("listen.http_socket", running.listen().http_socket, reloaded.listen().http_socket);
  compare("listen.admin_group", running.listen().admin_group, reloaded.listen().admin_group);
  compare("listen.max_message", running.listen().max_message, reloaded.listen().max_message);
  compare("listen.max_connections",
          running.listen().max_connections,
          reloaded.listen().max_connections);
  compare("http.tcp", running.http().tcp, reloaded.http().tcp);
  compare("http.tcp_address", running.http().tcp_address, reloaded.http().tcp_address);
  compare("http.max_header", running.http().max_header, reloaded.http().max_header);
  compare("http.max_body", running.http().max_body, reloaded.http().max_body);
  compare("runtime.worker", running.worker(), reloaded.worker());
  compare("runtime.plugin_dir", running.plugin_dir(), reloaded.plugin_dir());
  compare("runtime.engine_dir", running.runtime().engine_dir, reloaded.runtime().engine_dir);
  compare("runtime.sandbox", running.runtime().sandbox, reloaded.runtime().sandbox);
  compare("runtime.worker_user", running.runtime().worker_user, reloaded.runtime().worker_user);
  compare("runtime.cgroup", running.runtime().cgroup, reloaded.runtime().cgroup);
  compare("runtime.prefix_cache_disk",
          running.runtime().prefix_cache_disk,
          reloaded.runtime().prefix_cache_disk);
  compare("upstream", running.upstream(), reloaded.upstream());
  compare("memory.budget", running.memory().budget, reloaded.memory().budget);
  compare("policy.target", running.policy().target, reloaded.policy().target);
  compare("controller.address", running.controller().address, reloaded.controller().address);
  compare("controller.ca_file", running.controller().ca_file, reloaded.controller().ca_file);
  compare("controller.spki_pin", running.controller().spki_pin, reloaded.controller().spki_pin);
  compare("sync.max_bytes_per_second",
          running.sync().max_bytes_per_second,
          reloaded.sync().max_bytes_per_second);
  compare("peer.listen", running.peer().listen, reloaded.peer().listen);
  compare("peer.max_bytes_per_second",
          running.peer().max_bytes_per_second,
          reloaded.peer().max_bytes_per_second);
  compare("peer.max_connections", running.peer().max_connections, reloaded.peer().max_connections);
  compare("storage.encryption", running.storage().encryption, reloaded.storage().encryption);
  compare("storage.encryption_key",
          running.storage().encryption_key,
          reloaded.storage().encryption_key);
  compare("telemetry.interval", running.telemetry().interval, reloaded.telemetry().interval);
  compare("telemetry.outbox", running.telemetry().outbox, reloaded.telemetry().outbox);
  return changed;
}

}  // namespace skerry::agent
