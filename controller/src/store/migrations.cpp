// The schema, as numbered migrations. Never edit one that was released: append another.

#include <array>
#include <exception>

#include "store_impl.hpp"

namespace skerry::controller {
namespace {

struct Migration {
  std::string_view name;
  std::vector<std::string_view> statements;
};

const std::vector<Migration>& migrations() {
  static const std::vector<Migration> all{
      {"devices and enrolment",
       {R"(CREATE TABLE devices (
             device_id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, site_id TEXT NOT NULL,
             note TEXT NOT NULL, info TEXT NOT NULL, enrolled_ms BIGINT NOT NULL,
             last_seen_ms BIGINT NOT NULL, protocol_version BIGINT NOT NULL,
             certificate_expires_ms BIGINT NOT NULL, certificate_fingerprint TEXT NOT NULL,
             revoked BIGINT NOT NULL))",
        "CREATE INDEX devices_by_tenant ON devices (tenant_id, site_id)",
        R"(CREATE TABLE enrolment_tokens (
             token_id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, tenant_id TEXT NOT NULL,
             site_id TEXT NOT NULL, note TEXT NOT NULL, created_by TEXT NOT NULL,
             created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, used_ms BIGINT NOT NULL,
             used_by TEXT NOT NULL))",
        R"(CREATE TABLE certificates (
             fingerprint TEXT PRIMARY KEY, serial TEXT NOT NULL, kind TEXT NOT NULL,
             subject TEXT NOT NULL, tenant_id TEXT NOT NULL, issued_ms BIGINT NOT NULL,
             not_after_ms BIGINT NOT NULL))"}},
      {"desired state, reports and rollouts",
       {R"(CREATE TABLE desired_slots (
             device_id TEXT NOT NULL, slot TEXT NOT NULL, generation BIGINT NOT NULL,
             target TEXT NOT NULL, manifest_digest TEXT NOT NULL, rollout_id TEXT NOT NULL,
             not_after_ms BIGINT NOT NULL, PRIMARY KEY (device_id, slot)))",
        R"(CREATE TABLE slot_reports (
             device_id TEXT NOT NULL, slot TEXT NOT NULL, generation BIGINT NOT NULL,
             at_ms BIGINT NOT NULL, rollout_id TEXT NOT NULL, status TEXT NOT NULL,
             detail TEXT NOT NULL, report TEXT NOT NULL, PRIMARY KEY (device_id, slot)))",
        R"(CREATE TABLE rollouts (
             rollout_id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, target TEXT NOT NULL,
             manifest_digest TEXT NOT NULL, slot TEXT NOT NULL, state BIGINT NOT NULL,
             resume_state BIGINT NOT NULL, wave BIGINT NOT NULL, waves BIGINT NOT NULL,
             canary_devices BIGINT NOT NULL, max_failures BIGINT NOT NULL,
             soak_seconds BIGINT NOT NULL, note TEXT NOT NULL, reason TEXT NOT NULL,
             created_by TEXT NOT NULL, created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL,
             since_ms BIGINT NOT NULL))",
        R"(CREATE TABLE rollout_devices (
             rollout_id TEXT NOT NULL, device_id TEXT NOT NULL, wave BIGINT NOT NULL,
             status TEXT NOT NULL, detail TEXT NOT NULL, generation BIGINT NOT NULL,
             previous_target TEXT NOT NULL, previous_digest TEXT NOT NULL,
             PRIMARY KEY (rollout_id, device_id)))"}},
      {"outbox, telemetry and audit witness",
       {R"(CREATE TABLE outbox_marks (
             device_id TEXT NOT NULL, stream TEXT NOT NULL, highest_seq BIGINT NOT NULL,
             records BIGINT NOT NULL, gap_records BIGINT NOT NULL, duplicates BIGINT NOT NULL,
             PRIMARY KEY (device_id, stream)))",
        R"(CREATE TABLE outbox_gaps (
             device_id TEXT NOT NULL, stream TEXT NOT NULL, first_seq BIGINT NOT NULL,
             last_seq BIGINT NOT NULL, declared BIGINT NOT NULL,
             PRIMARY KEY (device_id, stream, first_seq)))",
        R"(CREATE TABLE telemetry_chunks (
             device_id TEXT NOT NULL, seq BIGINT NOT NULL, tenant_id TEXT NOT NULL,
             start_ms BIGINT NOT NULL, end_ms BIGINT NOT NULL, points BIGINT NOT NULL,
             chunk TEXT NOT NULL, PRIMARY KEY (device_id, seq)))",
        "CREATE INDEX telemetry_by_time ON telemetry_chunks (device_id, start_ms)",
        "CREATE INDEX telemetry_by_end ON telemetry_chunks (end_ms)",
        R"(CREATE TABLE audit_witness (
             device_id TEXT PRIMARY KEY, size BIGINT NOT NULL, root TEXT NOT NULL,
             note TEXT NOT NULL, verifier_key TEXT NOT NULL, flag TEXT NOT NULL,
             at_ms BIGINT NOT NULL))"}},
      {"models and trust metadata",
       {R"(CREATE TABLE manifests (
             tenant_id TEXT NOT NULL, target TEXT NOT NULL, digest TEXT NOT NULL,
             length BIGINT NOT NULL, release_counter BIGINT NOT NULL, published BIGINT NOT NULL,
             content TEXT NOT NULL, variants TEXT NOT NULL, size_bytes BIGINT NOT NULL,
             at_ms BIGINT NOT NULL, PRIMARY KEY (tenant_id, target)))",
        R"(CREATE TABLE trust_metadata (
             tenant_id TEXT NOT NULL, repository TEXT NOT NULL, name TEXT NOT NULL,
             role TEXT NOT NULL, version BIGINT NOT NULL, content TEXT NOT NULL,
             at_ms BIGINT NOT NULL, PRIMARY KEY (tenant_id, repository, name)))"}},
      {"director versions",
       {"CREATE TABLE director_floors (device_id TEXT PRIMARY KEY, floor BIGINT NOT NULL)"}},
      {"the life of a device after its enrolment",
       {R"(CREATE TABLE device_life (
             device_id TEXT PRIMARY KEY, key_spki TEXT NOT NULL, confirmed_ms BIGINT NOT NULL,
             nonce TEXT NOT NULL, previous_nonce TEXT NOT NULL, nonce_reset BIGINT NOT NULL,
             clone_flag TEXT NOT NULL, clone_ms BIGINT NOT NULL, clone_count BIGINT NOT NULL,
             revoked_ms BIGINT NOT NULL, quarantined BIGINT NOT NULL, revoked_by TEXT NOT NULL,
             revoke_reason TEXT NOT NULL, order_id TEXT NOT NULL, ordered_ms BIGINT NOT NULL,
             decommissioned_ms BIGINT NOT NULL))",
        "CREATE INDEX device_life_by_key ON device_life (key_spki)"}}};
  return all;
}

constexpr std::string_view kApplication = "skerry-controller";

}  // namespace

std::int64_t latest_schema() noexcept {
  return static_cast<std::int64_t>(migrations().size());
}

Result<void> migrate(soci::session& session) {
  session << "CREATE TABLE IF NOT EXISTS schema_version "
             "(application TEXT PRIMARY KEY, version BIGINT NOT NULL)";
  std::string application;
  long long version = 0;
  session << "SELECT application, version FROM schema_version", soci::into(application),
      soci::into(version);
  if (!session.got_data()) {
    const std::string name{kApplication};
    session << "INSERT INTO schema_version (application, version) VALUES (:name, 0)",
        soci::use(name);
  } else if (application != kApplication) {
    return Error{
        Error::Code::kDatabase,
        "the database belongs to \"" + application + "\", not to " + std::string{kApplication}};
  }
  if (version > latest_schema()) {
    return Error{Error::Code::kDatabase,
                 "the database has schema " + std::to_string(version) + ", this program knows " +
                     std::to_string(latest_schema()) + ": install the newer release again"};
  }
  for (auto next = static_cast<std::size_t>(version); next < migrations().size(); ++next) {
    const Migration& migration = migrations()[next];
    try {
      soci::transaction transaction{session};
      for (const auto statement : migration.statements) {
        session << std::string{statement};
      }
      const auto now = static_cast<long long>(next) + 1;
      session << "UPDATE schema_version SET version = :version", soci::use(now);
      transaction.commit();
    } catch (const std::exception& error) {
      return Error{Error::Code::kDatabase,
                   "migration " + std::to_string(next + 1) + " (" + std::string{migration.name} +
                       "): " + error.what()};
    }
  }
  return {};
}

}  // namespace skerry::controller
