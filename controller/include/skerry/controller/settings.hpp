#pragma once

// The controller's configuration. A TOML file becomes a plain `Config` (`load_config`), `finalize`
// checks it and fills what depends on other values, and only the immutable `Settings` reaches the
// components. Every option with its default is in deploy/config/skerry-controller.full.toml.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"

namespace skerry::controller {

struct ServerConfig {
  std::string listen = "127.0.0.1:8443";
  // DNS names and addresses that go into the server certificate.
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  // How long a stop waits for calls that are under way.
  std::chrono::milliseconds drain{5000};
};

struct StoreConfig {
  // "sqlite3"; "postgresql" is parsed and refused until it is supported.
  std::string backend = "sqlite3";
  // Empty: <state>/controller.db.
  std::string connection;
};

struct IdentityConfig {
  std::string trust_domain = "skerry.local";
  std::string tenant = "default";
  std::string site = "default";
  // Key URIs. Empty: file:<state>/keys/{ca,server,online,director,audit}.pem.
  std::string ca_key;
  std::string server_key;
  std::string online_key;
  std::string director_key;
  std::string audit_key;
  std::chrono::milliseconds device_certificate{std::chrono::hours{400 * 24}};
  // "alert" or "quarantine": what becomes of a device that seems to exist twice.
  std::string on_clone = "alert";
};

struct EnrolmentConfig {
  std::chrono::milliseconds token_ttl{std::chrono::minutes{10}};
  std::chrono::milliseconds token_ttl_max{std::chrono::hours{30 * 24}};
};

struct TrustConfig {
  std::chrono::milliseconds snapshot_lifetime{std::chrono::hours{30 * 24}};
  std::chrono::milliseconds timestamp_lifetime{std::chrono::hours{7 * 24}};
};

struct BlobConfig {
  std::uint64_t max_size = 64ULL << 30U;
  // Payload of one message of a GetBlob stream.
  std::uint64_t message_size = 1ULL << 20U;
};

struct DeltaConfig {
  // Deltas between versions, made when a device asks for one: disk that they may take; 0: none are
  // made.
  std::uint64_t cache = 8ULL << 30U;
};

struct RolloutConfig {
  // A device that has not been connected for this long leaves the denominator of its wave.
  std::chrono::milliseconds offline_after{30'000};
};

struct TelemetryConfig {
  std::chrono::milliseconds retention{std::chrono::hours{30 * 24}};
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  // Prefix lines with the syslog priority that journald reads.
  bool journald = false;
};

struct Config {
  std::filesystem::path state_directory = "/var/lib/skerry-controller";
  // Empty: <state>/policy.json.
  std::filesystem::path policy_file;
  ServerConfig server;
  StoreConfig store;
  IdentityConfig identity;
  EnrolmentConfig enrolment;
  TrustConfig trust;
  BlobConfig blobs;
  DeltaConfig deltas;
  RolloutConfig rollout;
  TelemetryConfig telemetry;
  LogConfig log;
};

// kConfigInvalid with file and line: malformed TOML, an unknown key (and the nearest known one), a
// value of the wrong type or out of range.
Result<Config> parse_config(std::string_view toml, std::string name);
Result<Config> load_config(FileSystem& fs, const std::filesystem::path& path);

class Settings {
 public:
  // kConfigInvalid says which value is wrong and what to write instead. Touches no files.
  static Result<Settings> finalize(Config config);

  [[nodiscard]] const std::filesystem::path& state_directory() const {
    return config_.state_directory;
  }
  [[nodiscard]] const std::filesystem::path& policy_file() const { return config_.policy_file; }
  [[nodiscard]] const ServerConfig& server() const { return config_.server; }
  [[nodiscard]] const StoreConfig& store() const { return config_.store; }
  [[nodiscard]] const IdentityConfig& identity() const { return config_.identity; }
  [[nodiscard]] const EnrolmentConfig& enrolment() const { return config_.enrolment; }
  [[nodiscard]] const TrustConfig& trust() const { return config_.trust; }
  [[nodiscard]] const BlobConfig& blobs() const { return config_.blobs; }
  [[nodiscard]] const DeltaConfig& deltas() const { return config_.deltas; }
  [[nodiscard]] const RolloutConfig& rollout() const { return config_.rollout; }
  [[nodiscard]] const TelemetryConfig& telemetry() const { return config_.telemetry; }
  [[nodiscard]] const LogConfig& log() const { return config_.log; }

 private:
  explicit Settings(Config config) : config_(std::move(config)) {}
  Config config_;
};

}  // namespace skerry::controller
