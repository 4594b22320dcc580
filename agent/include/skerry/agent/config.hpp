#pragma once

// skerryd's configuration: TOML file → `Config` (plain values with the defaults) → `finalize` →
// `Settings`, the only form that components see. deploy/config/skerryd.full.toml shows every option
// with its default; a test compares them.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/link_book.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/toml_reader.hpp"

namespace skerry::agent {

struct DeviceConfig {
  // Shown in reports before enrolment gives the device its id; empty: the host name.
  std::string name;
  std::string tenant;
  std::string site;
};

struct LogConfig {
  std::string level = "info";
  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct ListenConfig {
  std::string api_socket = "/run/skerry/api.sock";
  std::string admin_socket = "/run/skerry/admin.sock";
  std::string http_socket = "/run/skerry/http.sock";
  // Group that owns admin.sock; empty or unknown: the daemon's own.
  std::string admin_group = "skerry-admin";
  ByteSize max_message{64ULL << 20U};
  std::int64_t max_connections = 1024;
  // A streamed answer of which the client takes nothing for so long is ended.
  std::chrono::milliseconds write_timeout{std::chrono::seconds{30}};
};

struct HttpConfig {
  bool tcp = false;
  std::string tcp_address = "127.0.0.1:11435";
  // Besides the loopback names, what a Host or Origin header may say.
  std::vector<std::string> allowed_hosts;
  ByteSize max_header{16ULL << 10U};
  ByteSize max_body{8ULL << 20U};
  std::int64_t max_connections = 256;
  std::chrono::milliseconds header_timeout{std::chrono::seconds{10}};
  std::chrono::milliseconds idle_timeout{std::chrono::seconds{75}};
  std::chrono::milliseconds write_timeout{std::chrono::seconds{30}};
};

struct RuntimeConfig {
  // Empty: beside the daemon.
  std::string worker;
  std::string plugin_dir;
  std::string engine_dir;
  std::string worker_user = "skerry-worker";
  // "best_effort", "standard" or "strict": what a worker must have achieved before it gets a model.
  std::string sandbox = "standard";
  std::int64_t threads = 0;
  bool adapt_threads = true;
  std::chrono::milliseconds inter_token_target{150};
  std::int64_t max_sequences = 4;
  bool prefix_cache = true;
  // Tokens that idle prefixes of one model keep at most; 0: as many as requests leave room for.
  std::int64_t prefix_cache_tokens = 4096;
  // Bytes that idle prefixes of all models take on disk; 0: none are kept there.
  ByteSize prefix_cache_disk{256ULL << 20U};
  // "auto" or "off": guess tokens from what was said before, while it pays.
  std::string drafting = "auto";
  std::int64_t context_length = 0;
  std::int64_t max_queued = 256;
  std::int64_t niceness = 10;
  // A delegated cgroup v2 directory; empty: none.
  std::string cgroup;
  std::chrono::milliseconds request_timeout{std::chrono::minutes{10}};
  // A model that nobody asked for so long is unloaded; 0: kept.
  std::chrono::milliseconds idle_unload{0};
};

// A server that answers for models of the runtime `openai`: [[upstream.endpoint]].
struct UpstreamEndpointConfig {
  std::string name;
  // "https://host[:port]/v1"
  std::string url;
  // "vllm", "mlx_lm", "ollama", "foundry_local", "openai", "compatible"
  std::string server = "compatible";
  // "local", "site", "cloud"
  std::string tier = "local";
  // Requests at once; 0: as many as its kind bears.
  std::int64_t max_concurrent = 0;
  // http:// to another machine of the site, readable on the way.
  bool insecure_http = false;
  // PEM; empty: the system's certificates, no client certificate.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // One line: the key, which is sent as a bearer token.
  std::string api_key_file;
  friend bool operator==(const UpstreamEndpointConfig&, const UpstreamEndpointConfig&) = default;
};

struct UpstreamConfig {
  std::chrono::milliseconds connect_timeout{std::chrono::seconds{5}};
  // Until the answer begins: a server may load the model first.
  std::chrono::milliseconds first_byte_timeout{std::chrono::minutes{5}};
  // Between two pieces of it.
  std::chrono::milliseconds idle_timeout{std::chrono::seconds{60}};
  std::chrono::milliseconds probe_interval{std::chrono::seconds{10}};
  // Requests that wait for room; more are refused.
  std::int64_t max_waiting = 256;
  std::vector<UpstreamEndpointConfig> endpoints;
  friend bool operator==(const UpstreamConfig&, const UpstreamConfig&) = default;
};

struct MemoryConfig {
  // What all models together may take; 0: 80 % of the machine's (or the cgroup's) memory.
  ByteSize budget{0};
  // Left to the machine's other work: a model that an app asks for is loaded only where
  // MemAvailable (and the cgroup) has room for it and for this, a candidate in the gate anyway; 0:
  // the budget alone decides.
  ByteSize reserve{64ULL << 20U};
  // Slots whose models stay once they are loaded, and slots whose models are loaded at once.
  std::vector<std::string> pinned;
  std::vector<std::string> preload;
};

struct PolicyConfig {
  // Read at start and on SIGHUP; empty: `skerry policy set` alone changes the policy.
  std::string file;
  // Members of listen.admin_group administer the gateway while no policy was ever given.
  bool bootstrap_admins = true;
  // The signed target that is the policy once it was verified; empty: this gateway takes none.
  std::string target = "security/policy/default";
};

struct AuditConfig {
  std::chrono::milliseconds checkpoint_interval{std::chrono::seconds{5}};
  std::int64_t checkpoint_records = 256;
};

struct TrustConfig {
  // The image repository's first root, trusted at first start.
  std::string root_file;
  // The director repository's first root, the same way; empty: as the controller gives it at
  // enrolment.
  std::string director_root_file;
  // The same of the offline repository, which directs bundles; empty: no bundle is taken.
  std::string offline_root_file;
};

struct BundlesConfig {
  // A folder (where sticks are mounted) that is looked at every `interval`: a bundle in it, or in
  // one of its folders, is imported as if an administrator had asked. Empty: only `skerry bundle
  // import`.
  std::string watch;
  std::chrono::milliseconds interval{std::chrono::seconds{10}};
};

struct ControllerConfig {
  // "host:port"; empty: no controller.
  std::string address;
  // Another name that the controller's certificate carries; empty: the host of `address`.
  std::string server_name;
  // Enrolment: a single-use token, and either the CA certificate or the pin of the server's key.
  std::string token_file;
  std::string ca_file;
  std::string spki_pin;
  // "new" or "same": whether each renewal of the certificate also makes a new key.
  std::string renewal_key = "new";
};

struct SyncConfig {
  // 0: as fast as it goes.
  ByteSize max_bytes_per_second{0};
  // Deltas from held versions: "auto" where that is sooner done on the measured link, "always"
  // where it is fewer bytes, "never".
  std::string delta = "auto";
  // A variant whose signed recipe names weights that are held is quantized here, not fetched.
  bool derive = true;
  std::chrono::milliseconds heartbeat{std::chrono::seconds{30}};
  std::chrono::milliseconds backoff_first{std::chrono::seconds{1}};
  std::chrono::milliseconds backoff_longest{std::chrono::minutes{5}};
  // After a change of the certificate authority, within this time, drawn at random.
  std::chrono::milliseconds renewal_spread{std::chrono::hours{1}};
};

// The link over which the controller and remote servers are reached; what comes from the site is
// free.
struct LinkConfig {
  // Bytes of blobs per day and month; 0: no limit.
  ByteSize daily{0};
  ByteSize monthly{0};
  // "HH:MM-HH:MM" in `quiet_hours_zone`: then no blob comes over the link.
  std::vector<std::string> quiet_hours;
  std::string quiet_hours_zone = "UTC";
  // Every byte costs: at most `metered_daily` a day, and nothing is healed over it. Always, or
  // while `metered_file` exists (a hook of the network's manager makes and removes it).
  bool metered = false;
  std::string metered_file;
  ByteSize metered_daily{64ULL << 20U};
};

// A web server, CDN or object store that serves `<url>/sha256/ab/<hex>`: [[sources.url]].
struct UrlSourceConfig {
  std::string url;
  // It stands on the site: its bytes are not those of the link.
  bool site = false;
  // PEM; empty: the system's certificates, no client certificate.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // One line: the value of the Authorization header.
  std::string authorization_file;
  friend bool operator==(const UrlSourceConfig&, const UrlSourceConfig&) = default;
};

struct SourcesConfig {
  // All at once, each for other chunks of a blob; else one after the other.
  bool parallel = true;
  // Ask over the link only what nobody on the site has.
  bool prefer_site = true;
  // Folders with a store's layout: a mounted stick, a share.
  std::vector<std::string> folders;
  std::vector<UrlSourceConfig> urls;
};

struct PeerConfig {
  // "address:port" where other gateways of the site may ask for blobs; empty: serves nobody.
  std::string listen;
  ByteSize max_bytes_per_second{16ULL << 20U};
  std::int64_t max_connections = 8;
  // "host:port" of gateways that serve.
  std::vector<std::string> gateways;
};

struct ActivationConfig {
  // "quality", "speed" or "size": the variant wanted where several fit.
  std::string goal = "quality";
  // Bytes that must stay free on disk after a fetch.
  ByteSize disk_reserve{256ULL << 20U};
  // -1: what the manifest says.
  std::int64_t probation_seconds = -1;
  std::int64_t probation_requests = -1;
  std::chrono::milliseconds probation_idle_extension{std::chrono::hours{24}};
  std::int64_t max_unclean_exits = 3;
  std::chrono::milliseconds fetch_deadline{std::chrono::hours{24 * 14}};
  std::chrono::milliseconds gate_deadline{std::chrono::minutes{15}};
};

struct StorageConfig {
  // When all blobs together take more than `high_water`, the least recently used of those that
  // nothing needs go until they take no more than `low_water`. 0: only `skerry registry gc`
  // collects.
  ByteSize high_water{0};
  ByteSize low_water{0};
  // Every blob is read again about this often, in idle time; 0: never by itself.
  std::chrono::milliseconds scrub_interval{std::chrono::hours{24 * 30}};
  // Bytes per second of a scrub; 0: as fast as the disk gives them.
  ByteSize scrub_rate{16ULL << 20U};
  // "on": blobs lie encrypted on the disk (ADR 0093). A change is carried out in the background,
  // for which the key must stay configured.
  std::string encryption = "off";
  // The key URI, file: or tpm:, of what the store's data key is wrapped to.
  std::string encryption_key;

  [[nodiscard]] bool encrypts() const { return encryption == "on"; }
};

// Whose signature is enough for an imported model to run here (OpenSSF Model Signing).
struct ImportConfig {
  // Public keys, PEM or DER.
  std::vector<std::string> signer_keys;
  // Certificates that a signer's chain may end at, PEM.
  std::vector<std::string> signer_anchors;
  // Subjects of the leaf below those anchors, as `skerry model verify` prints them; empty: any.
  std::vector<std::string> signer_subjects;
};

struct TelemetryConfig {
  std::chrono::milliseconds interval{std::chrono::seconds{60}};
  // The outbox on disk; older telemetry is dropped, with a gap record, beyond it.
  ByteSize outbox{64ULL << 20U};
};

struct Config {
  std::string state_dir = "/var/lib/skerry";
  DeviceConfig device;
  LogConfig log;
  ListenConfig listen;
  HttpConfig http;
  RuntimeConfig runtime;
  UpstreamConfig upstream;
  MemoryConfig memory;
  PolicyConfig policy;
  AuditConfig audit;
  TrustConfig trust;
  BundlesConfig bundles;
  ControllerConfig controller;
  SyncConfig sync;
  LinkConfig link;
  SourcesConfig sources;
  PeerConfig peer;
  ActivationConfig activation;
  StorageConfig storage;
  ImportConfig imports;
  TelemetryConfig telemetry;
  // What errors call the file.
  std::string source;
};

// kConfigInvalid with file and line: unknown key (and the nearest known one), wrong type, out of
// range.
Result<Config> parse_config(std::string_view text, std::string name);
Result<Config> load_config(FileSystem& fs, const std::filesystem::path& path);

// What `finalize` needs to know of the process.
struct Environment {
  // Folder of the running program.
  std::filesystem::path program_dir;
  std::string host_name;
  bool under_journald = false;
};

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

// "host:port", "[::1]:port"; kInvalidArgument otherwise.
Result<HostPort> parse_host_port(std::string_view text);

// Validated, immutable. Copyable.
class Settings {
 public:
  [[nodiscard]] const std::filesystem::path& state_dir() const { return state_dir_; }
  [[nodiscard]] LogLevel log_level() const { return log_level_; }
  [[nodiscard]] bool journald() const { return journald_; }
  [[nodiscard]] const DeviceConfig& device() const { return config_.device; }
  [[nodiscard]] const ListenConfig& listen() const { return config_.listen; }
  [[nodiscard]] const HttpConfig& http() const { return config_.http; }
  [[nodiscard]] const HostPort& http_address() const { return http_address_; }
  [[nodiscard]] const RuntimeConfig& runtime() const { return config_.runtime; }
  [[nodiscard]] const UpstreamConfig& upstream() const { return config_.upstream; }
  [[nodiscard]] const std::filesystem::path& worker() const { return worker_; }
  [[nodiscard]] const std::filesystem::path& plugin_dir() const { return plugin_dir_; }
  [[nodiscard]] const MemoryConfig& memory() const { return config_.memory; }
  [[nodiscard]] const PolicyConfig& policy() const { return config_.policy; }
  [[nodiscard]] const AuditConfig& audit() const { return config_.audit; }
  [[nodiscard]] const TrustConfig& trust() const { return config_.trust; }
  [[nodiscard]] const BundlesConfig& bundles() const { return config_.bundles; }
  [[nodiscard]] const ControllerConfig& controller() const { return config_.controller; }
  [[nodiscard]] const SyncConfig& sync() const { return config_.sync; }
  [[nodiscard]] const LinkConfig& link() const { return config_.link; }
  [[nodiscard]] const std::vector<QuietHours>& quiet_hours() const { return quiet_hours_; }
  [[nodiscard]] const TimeZone& quiet_hours_zone() const { return quiet_hours_zone_; }
  [[nodiscard]] const SourcesConfig& sources() const { return config_.sources; }
  [[nodiscard]] const PeerConfig& peer() const { return config_.peer; }
  // Only where peer.listen is set.
  [[nodiscard]] const HostPort& peer_address() const { return peer_address_; }
  [[nodiscard]] const ActivationConfig& activation() const { return config_.activation; }
  [[nodiscard]] const StorageConfig& storage() const { return config_.storage; }
  [[nodiscard]] const ImportConfig& imports() const { return config_.imports; }
  [[nodiscard]] const TelemetryConfig& telemetry() const { return config_.telemetry; }

 private:
  friend Result<Settings> finalize(Config config, const Environment& environment);
  Settings() = default;

  Config config_;
  std::filesystem::path state_dir_;
  std::filesystem::path worker_;
  std::filesystem::path plugin_dir_;
  HostPort http_address_;
  HostPort peer_address_;
  std::vector<QuietHours> quiet_hours_;
  TimeZone quiet_hours_zone_;
  LogLevel log_level_ = LogLevel::kInfo;
  bool journald_ = false;
};

// Checks what concerns several values and fills in what depends on the machine. kConfigInvalid
// names the option.
Result<Settings> finalize(Config config, const Environment& environment);

// The options that differ and that a reload cannot change: "listen.api_socket", … Empty: none.
std::vector<std::string> needs_restart(const Settings& running, const Settings& reloaded);

}  // namespace skerry::agent
