#pragma once

// What administrators do, behind the gRPC service: status, slots, policy, tokens, audit, garbage.
// Each change is recorded as intent before and outcome after it. Control thread.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "skerry/agent/access.hpp"
#include "skerry/agent/bundle_import.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/maintenance.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/registry/gc.hpp"
#include "skerry/security/audit_verify.hpp"
#include "skerry/security/token_store.hpp"

namespace skerry::agent {

// How the gateway stands with its controller.
struct SyncState {
  bool enrolled = false;
  std::string device_id;
  std::string controller;
  // "off", "enrolling", "connecting", "connected", "backing off", "refused"
  std::string state = "off";
  WallTime last_contact{};
  std::string last_error;
  WallTime certificate_expires{};
  std::uint32_t protocol_version = 0;
};

// How far a report for a stick has come.
struct StickReportCursor {
  bool begun = false;
  // The last number of each of the outbox's streams.
  std::map<std::string, std::uint64_t> after;
};

class Administration {
 public:
  struct Parts {
    Access& access;
    AuditWriter& audit;
    SlotManager& slots;
    ModelHost& host;
    Maintenance& maintenance;
    BundleImport& bundles;
    registry::Catalogue& catalogue;
    registry::BlobStore& store;
    security::TokenStore& tokens;
    std::filesystem::path audit_dir;
    security::PublicKey audit_key;
    // The id that the controller gave; empty before enrolment.
    std::function<std::string()> device_id;
    // Ends the daemon, which then deletes everything.
    std::function<void(const std::string& order_id)> end;
    // `SyncClient::stick_report`.
    std::function<Task<Result<std::string>>(StickReportCursor&)> stick_report;
  };
  Administration(Core& core, Parts parts) : core_(core), parts_(std::move(parts)) {}

  Task<Result<std::shared_ptr<const security::Policy>>> set_policy(Caller caller,
                                                                   std::string document,
                                                                   bool dry_run);
  Task<Result<std::string>> policy_document(Caller caller);

  Task<Result<security::NewToken>> create_token(Caller caller,
                                                std::string name,
                                                std::uint64_t ttl_seconds);
  Task<Result<std::vector<security::TokenRecord>>> list_tokens(Caller caller);
  Task<Result<bool>> revoke_token(Caller caller, std::string name);

  Task<Result<bool>> forgive(Caller caller, std::string digest);
  Task<Result<security::AuditVerification>> verify_audit(Caller caller);
  // A file of its own with the log from the last checkpoint at or before `from_seq` on; removed by
  // the caller.
  Task<Result<std::filesystem::path>> export_audit(Caller caller, std::uint64_t from_seq);
  // Before the first part of a report: may the caller take one along? Seals the audit log.
  Task<Result<void>> begin_stick_report(Caller caller);
  Task<Result<std::vector<security::AuditEntry>>> read_audit(std::uint64_t from, std::size_t max);

  struct Collected {
    std::uint64_t freed = 0;
    std::vector<std::string> decisions;
  };
  Task<Result<Collected>> collect(Caller caller, bool dry_run);
  // Each finding is a record of its own beside intent and outcome.
  Task<Result<registry::ScrubReport>> scrub(Caller caller, registry::ScrubOptions options);

  // Ends this gateway: keys and data are deleted when the daemon has stopped, which is what
  // follows. `confirm` is its id or its name. Returns the order's id.
  Task<Result<std::string>> decommission(Caller caller, std::string confirm, std::string reason);

  [[nodiscard]] Parts& parts() { return parts_; }

  // Decides, records the intent, runs `work` on the disk thread, records the outcome.
  template <class T>
  Task<Result<T>> change(Caller caller,
                         security::Verb verb,
                         security::AuditClass audit_class,
                         std::string action,
                         std::string subject,
                         std::function<Result<T>()> work);

 private:
  Core& core_;
  Parts parts_;
};

}  // namespace skerry::agent
