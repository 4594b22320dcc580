#include "skerry/agent/break_glass.hpp"

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent {

using security::AuditClass;
using security::AuditEvent;
using security::AuditOutcome;
using security::AuditPhase;
using security::Decision;
using security::Verb;
namespace {

constexpr std::string_view kNoteFormat = "skerry-break-glass/1";
constexpr std::size_t kMaxNote = 8192;
// The boot clock counts through suspend and timers do not: looked at this often.
constexpr std::chrono::seconds kBreakGlassLook{1};

bool is_administration(Verb verb) {
  switch (verb) {
    case Verb::kList:
    case Verb::kLoad:
    case Verb::kUnload:
    case Verb::kAdminStatus:
    case Verb::kAdminRegistryRead:
    case Verb::kAdminRegistryWrite:
    case Verb::kAdminModelsImport:
    case Verb::kAdminModelsVouch:
    case Verb::kAdminSlotsRead:
    case Verb::kAdminSlotsWrite:
    case Verb::kAdminPolicyRead:
    case Verb::kAdminPolicyWrite:
    case Verb::kAdminTokens:
    case Verb::kAdminConfig:
    case Verb::kAdminShutdown:
    case Verb::kAuditRead:
    case Verb::kAuditExport:
    case Verb::kMetricsRead:
      return true;
    default:
      return false;
  }
}

std::int64_t whole_seconds(BootTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

Result<void> check_reason(const std::string& reason) {
  if (reason.size() < BreakGlass::kShortestReason || reason.size() > BreakGlass::kLongestReason) {
    return Error{Error::Code::kInvalidArgument,
                 "say why in 8 to 400 characters: it is what the audit log will show"};
  }
  const bool printable = std::none_of(reason.begin(), reason.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (!printable) {
    return Error{Error::Code::kInvalidArgument, "the reason must not hold control characters"};
  }
  return {};
}

}  // namespace

BreakGlass::BreakGlass(Core& core, AuditWriter& audit, std::filesystem::path note)
    : core_(core), audit_(audit), note_(std::move(note)), changed_(core.control) {}

bool BreakGlass::is_root(const Caller& caller) {
  return caller.authn_method == "peercred" &&
         caller.principal.kind == security::Principal::Kind::kUid && caller.principal.uid == 0;
}

BreakGlass::View BreakGlass::view_of(const Opening& opening) const {
  View view;
  view.id = opening.id;
  view.reason = opening.reason;
  view.began = opening.began;
  view.uses = opening.uses;
  view.left = std::chrono::ceil<std::chrono::seconds>(
      std::max(opening.until - core_.clock.boot_now(), BootTime{0}));
  return view;
}

std::optional<BreakGlass::View> BreakGlass::view() const {
  if (!opening_ || core_.clock.boot_now() >= opening_->until) {
    return std::nullopt;
  }
  return view_of(*opening_);
}

Task<Result<void>> BreakGlass::recover() {
  if (!core_.fs.exists(note_)) {
    co_return Result<void>();
  }
  auto read = [this] { return read_file(core_.fs, note_, kMaxNote); };
  Result<std::string> text = co_await async::offload(core_.disk, std::move(read));
  Result<Json> note = text ? Json::parse(*text) : Result<Json>{text.error()};
  Opening left;
  left.id = "unreadable";
  std::string how = "ended by a restart of the daemon";
  if (note && note->get_string("format").value_or("") == kNoteFormat) {
    left.id = note->get_string("id").value_or(left.id);
    left.reason = note->get_string("reason").value_or("");
  } else {
    how += "; its note on disk cannot be read";
  }
  core_.log.warning("break_glass.found_open", {{"id", left.id}, {"reason", left.reason}});
  const security::Principal by = security::Principal::system("break-glass");
  Result<void> closed = co_await close(std::move(left), by, std::move(how));
  co_return closed;
}

Task<Result<void>> BreakGlass::refuse(Caller caller, std::string why) {
  Decision decision;
  decision.verb = Verb::kAdminPolicyWrite;
  decision.principal = caller.principal.to_string();
  decision.reason = why;
  AuditEvent event =
      AuditEvent::denied(caller.principal, caller.authn_method, "break_glass.begin", decision);
  core_.log.warning("break_glass.refused",
                    {{"principal", caller.principal.to_string()}, {"reason", why}});
  Result<void> recorded = co_await audit_.record_durable(std::move(event));
  if (!recorded) {
    core_.log.error("audit.denial_not_recorded", recorded.error());
  }
  co_return Error(Error::Code::kPermissionDenied, why);
}

Task<Result<void>> BreakGlass::write_note(Opening opening) {
  Json::Object note;
  note.emplace("format", kNoteFormat);
  note.emplace("id", opening.id);
  note.emplace("reason", opening.reason);
  note.emplace("began", to_rfc3339(opening.began));
  note.emplace("boot_id", boot_id());
  note.emplace("seconds", whole_seconds(opening.until - opening.from));
  auto write = [this, text = Json{std::move(note)}.dump()] {
    return write_file_atomic(core_.fs, note_, text, 0640);
  };
  Result<void> written = co_await async::offload(core_.disk, std::move(write));
  co_return written;
}

Task<Result<BreakGlass::View>> BreakGlass::begin(Caller caller,
                                                 std::string reason,
                                                 std::chrono::seconds duration) {
  if (!is_root(caller)) {
    std::string why = "break-glass is for root on this gateway, over the admin socket; this is " +
                      caller.principal.to_string();
    Result<void> refused = co_await refuse(std::move(caller), std::move(why));
    co_return refused.error();
  }
  Result<void> said = check_reason(reason);
  if (!said) {
    co_return said.error();
  }
  if (duration.count() == 0) {
    duration = kDefault;
  }
  if (duration < std::chrono::seconds(1) || duration > kLongest) {
    co_return Error(Error::Code::kInvalidArgument, "the time must be between 1 s and 4 h");
  }
  if (busy_ || view()) {
    co_return Error(Error::Code::kFailedPrecondition,
                    "break-glass is on already; end it first, time is not added to it");
  }
  if (opening_) {
    Result<void> over = co_await expire();
    if (!over) {
      co_return over.error();
    }
  }
  busy_ = true;
  Opening opening;
  opening.id = "bg-" + core_.random.hex(8);
  opening.reason = std::move(reason);
  opening.who = caller.principal;
  AuditEvent intent = AuditEvent::intent(
      AuditClass::kPolicyChange, caller.principal, "break_glass.begin", opening.id);
  intent.authn_method = caller.authn_method;
  intent.reason = opening.reason;
  Json::Object details;
  details.emplace("seconds", static_cast<std::int64_t>(duration.count()));
  intent.details = Json{std::move(details)};
  Result<void> done = co_await audit_.record_durable(intent);
  if (done) {
    opening.began = core_.clock.wall_now();
    opening.from = core_.clock.boot_now();
    opening.until = opening.from + duration;
    done = co_await write_note(opening);
    AuditEvent outcome = done ? intent.outcome_of(AuditOutcome::kSuccess, opening.reason)
                              : intent.outcome_of(AuditOutcome::kFailure, done.error().to_string());
    Result<void> closed = co_await audit_.record_durable(std::move(outcome));
    if (done) {
      done = closed;
    }
  }
  busy_ = false;
  if (!done) {
    // A note that stays behind is told of at the next start.
    co_return done.error().with_context("break-glass stays off: it could not be recorded");
  }
  opening_ = std::move(opening);
  ++openings_;
  core_.log.warning("break_glass.on",
                    {{"id", opening_->id},
                     {"principal", caller.principal.to_string()},
                     {"seconds", duration.count()},
                     {"reason", opening_->reason}});
  changed_.notify();
  co_return view_of(*opening_);
}

Task<Result<void>> BreakGlass::expire() {
  Opening over = *std::move(opening_);
  opening_.reset();
  const security::Principal by = security::Principal::system("break-glass");
  Result<void> closed = co_await close(std::move(over), by, "its time is over");
  co_return closed;
}

Task<Result<void>> BreakGlass::close(Opening opening, security::Principal by, std::string how) {
  // No new opening before this one is told and its note is gone.
  busy_ = true;
  Result<void> closed = co_await record_end(std::move(opening), std::move(by), std::move(how));
  busy_ = false;
  co_return closed;
}

Task<Result<void>> BreakGlass::record_end(Opening opening,
                                          security::Principal by,
                                          std::string how) {
  AuditEvent event =
      AuditEvent::intent(AuditClass::kPolicyChange, by, "break_glass.end", opening.id);
  event.phase = AuditPhase::kSingle;
  event.outcome = AuditOutcome::kSuccess;
  event.authn_method = by.kind == security::Principal::Kind::kSystem ? "internal" : "peercred";
  event.reason = how;
  Json::Object details;
  details.emplace("uses", opening.uses);
  details.emplace("why", opening.reason);
  if (opening.from.count() > 0) {
    details.emplace("seconds", whole_seconds(core_.clock.boot_now() - opening.from));
  }
  event.details = Json{std::move(details)};
  core_.log.warning("break_glass.off", {{"id", opening.id}, {"how", how}, {"uses", opening.uses}});
  Result<void> recorded = co_await audit_.record_durable(std::move(event));
  if (!recorded) {
    // The note stays, and the next start records the end.
    co_return recorded.error().with_context("recording the end of break-glass");
  }
  auto remove = [this]() -> Result<void> {
    Result<void> removed = core_.fs.remove(note_);
    if (!removed && removed.error().code() != Error::Code::kNotFound) {
      return removed;
    }
    return core_.fs.sync_directory(note_.parent_path());
  };
  Result<void> removed = co_await async::offload(core_.disk, std::move(remove));
  co_return removed;
}

Task<Result<BreakGlass::View>> BreakGlass::end(Caller caller) {
  if (!view()) {
    co_return Error(Error::Code::kFailedPrecondition, "break-glass is not on");
  }
  Opening ended = *std::move(opening_);
  opening_.reset();
  const View last = view_of(ended);
  std::string how = "ended by " + caller.principal.to_string();
  Result<void> closed =
      co_await close(std::move(ended), std::move(caller.principal), std::move(how));
  changed_.notify();
  if (!closed) {
    co_return closed.error();
  }
  co_return last;
}

std::optional<Decision> BreakGlass::decide(const security::Principal& principal,
                                           const Decision& denied) const {
  if (denied.allowed || principal.kind != security::Principal::Kind::kUid || principal.uid != 0 ||
      !is_administration(denied.verb) || !view()) {
    return std::nullopt;
  }
  Decision decision = denied;
  decision.allowed = true;
  decision.role = kRole;
  decision.binding = opening_->id;
  decision.rule = kRole;
  decision.reason = "allowed by break-glass " + opening_->id + "; the policy: " + denied.reason;
  return decision;
}

Task<Result<void>> BreakGlass::use(Caller caller, std::string action, Decision decision) {
  AuditEvent event =
      AuditEvent::intent(AuditClass::kPolicyChange, caller.principal, "break_glass.use", {});
  event.phase = AuditPhase::kSingle;
  event.outcome = AuditOutcome::kSuccess;
  event.authn_method = caller.authn_method;
  event.correlation_id = decision.binding;
  event.reason = decision.reason;
  Json::Object details;
  details.emplace("action", action);
  event.details = Json{std::move(details)};
  event.object.model = decision.resource.model;
  event.decision = std::move(decision);
  Result<void> recorded = co_await audit_.record_durable(std::move(event));
  if (!recorded) {
    co_return recorded.error();
  }
  ++uses_;
  if (opening_) {
    ++opening_->uses;
  }
  core_.log.warning("break_glass.use",
                    {{"principal", caller.principal.to_string()}, {"action", action}});
  co_return Result<void>();
}

Task<void> BreakGlass::run() {
  while (true) {
    if (!opening_) {
      co_await changed_.wait();
      continue;
    }
    if (view()) {
      co_await changed_.wait_for(kBreakGlassLook);
      continue;
    }
    Result<void> closed = co_await expire();
    if (!closed) {
      core_.log.error("break_glass.end_not_recorded", closed.error());
    }
  }
}

}  // namespace skerry::agent
