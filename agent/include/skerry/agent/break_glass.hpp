#pragma once

// The way in when the policy locks the administrators out: root on this gateway, over the admin
// socket, with a reason and for a bounded time, may administer although the policy denies it. It
// never gives inference or the fleet's verbs. ADR 0073.
//
// Loud: intent and outcome of the opening, each act that the policy alone would have denied, and
// the end are durable audit records; while it is on, status, metrics and telemetry say so. It lives
// in this process alone: a restart ends it, and the next start records that.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/caller.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/notifier.hpp"
#include "skerry/async/task.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::agent {

class BreakGlass {
 public:
  static constexpr std::chrono::seconds kDefault{std::chrono::minutes{15}};
  static constexpr std::chrono::seconds kLongest{std::chrono::hours{4}};
  // Characters of a reason.
  static constexpr std::size_t kShortestReason = 8;
  static constexpr std::size_t kLongestReason = 400;
  // The role and rule that decisions name.
  static constexpr std::string_view kRole = "break-glass";

  // `note` is the file that tells the next start of an opening that nobody ended.
  BreakGlass(Core& core, AuditWriter& audit, std::filesystem::path note);

  // Records the end of what an earlier process left open. Call once, before anything is served; an
  // error means that it could not be recorded and the daemon should not start.
  Task<Result<void>> recover();

  struct View {
    std::string id;
    std::string reason;
    WallTime began{};
    std::chrono::seconds left{0};
    std::uint64_t uses = 0;
  };
  // What is on now; none after its time, whatever else has happened.
  [[nodiscard]] std::optional<View> view() const;

  // Turns it on for `duration` of the boot clock (zero: kDefault). kPermissionDenied for anybody
  // but root over the admin socket, which is recorded; kInvalidArgument for the reason or the
  // duration, kFailedPrecondition while it is on: time is not added silently.
  Task<Result<View>> begin(Caller caller, std::string reason, std::chrono::seconds duration);
  // kFailedPrecondition if it is not on. The caller was authorised, or is root.
  Task<Result<View>> end(Caller caller);

  // Root by the kernel's word.
  static bool is_root(const Caller& caller);

  // The allowing decision, if it is on, `principal` is root and the verb is one of administration;
  // `denied` is what the policy said. Counts nothing.
  [[nodiscard]] std::optional<security::Decision> decide(const security::Principal& principal,
                                                         const security::Decision& denied) const;
  // Records an act that was allowed by `decide`; on an error it must not be done.
  Task<Result<void>> use(Caller caller, std::string action, security::Decision decision);

  // Ends it when its time is over. Until cancelled.
  Task<void> run();

  // Of this process, for metrics.
  [[nodiscard]] std::uint64_t openings() const { return openings_; }
  [[nodiscard]] std::uint64_t uses() const { return uses_; }

 private:
  struct Opening {
    std::string id;
    std::string reason;
    WallTime began{};
    BootTime from{};
    BootTime until{};
    std::uint64_t uses = 0;
    security::Principal who;
  };
  [[nodiscard]] View view_of(const Opening& opening) const;
  Task<Result<void>> expire();
  Task<Result<void>> close(Opening opening, security::Principal by, std::string how);
  Task<Result<void>> record_end(Opening opening, security::Principal by, std::string how);
  Task<Result<void>> refuse(Caller caller, std::string why);
  Task<Result<void>> write_note(Opening opening);

  Core& core_;
  AuditWriter& audit_;
  std::filesystem::path note_;
  Notifier changed_;
  std::optional<Opening> opening_;
  // A beginning or an end is being recorded.
  bool busy_ = false;
  std::uint64_t openings_ = 0;
  std::uint64_t uses_ = 0;
};

}  // namespace skerry::agent
