#include "skerry/agent/security_targets.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace skerry::agent {

using security::AuditClass;
using security::AuditEvent;
using security::AuditOutcome;
using security::AuditPhase;
using security::SignedDocument;
using security::SignedDocumentStore;
namespace signed_target = security::security_target;
namespace {

template <class Document>
Result<std::int64_t> version_of(std::string_view text) {
  auto document = Document::parse(text);
  if (!document) {
    return document.error();
  }
  return document->version();
}

// The source is away; that is no word about the document.
bool is_absence(const Error& error) {
  using Code = Error::Code;
  switch (error.code()) {
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kCancelled:
    case Code::kResourceExhausted:
    case Code::kUnauthenticated:
      return true;
    default:
      return false;
  }
}

}  // namespace

struct SecurityTargets::Kind {
  std::string name;
  std::string path;
  std::size_t limit = 0;
  AuditClass audit_class = AuditClass::kPolicyChange;
  std::unique_ptr<SignedDocumentStore> store;
  // Guarded by the owner's mutex.
  std::string problem;
  // What was refused last, so that it is told once and not at every refresh.
  std::string told;

  [[nodiscard]] std::string floor_name() const { return "security/" + name; }
};

SecurityTargets::SecurityTargets(Core& core,
                                 AuditWriter& audit,
                                 registry::Catalogue& catalogue,
                                 DeviceTime& time,
                                 std::function<std::string()> device_id)
    : core_(core),
      audit_(audit),
      catalogue_(catalogue),
      time_(time),
      device_id_(std::move(device_id)) {
  const auto add = [this](std::string name,
                          std::string path,
                          std::size_t limit,
                          AuditClass audit_class,
                          SignedDocumentStore::Check check) {
    auto kind = std::make_unique<Kind>();
    kind->name = std::move(name);
    kind->path = std::move(path);
    kind->limit = limit;
    kind->audit_class = audit_class;
    SignedDocumentStore::Options options;
    options.path = core_.settings->state_dir() / (kind->name + ".signed.json");
    options.what = kind->name;
    options.limit = limit;
    options.check = std::move(check);
    options.floor =
        static_cast<std::int64_t>(catalogue_.floor(kind->floor_name()).value_or(std::uint64_t{0}));
    kind->store = SignedDocumentStore::open(core_.fs, std::move(options));
    for (const std::string& damage : kind->store->damage()) {
      kind->problem = damage;
      core_.log.error("security.copy_damaged", {{"document", kind->name}, {"what", damage}});
    }
    if (kind->store->lost()) {
      kind->problem =
          "the " + kind->name + " that was in force is lost; the next refresh brings it";
      core_.log.error("security.document_lost", {{"document", kind->name}});
    }
    kinds_.push_back(std::move(kind));
  };
  // Without a configured target the gateway has no signed policy, whatever it once kept.
  if (!core_.settings->policy().target.empty()) {
    add("policy",
        core_.settings->policy().target,
        security::PolicyLimits::kBytes,
        AuditClass::kPolicyChange,
        version_of<security::Policy>);
  }
  add("revocations",
      std::string{signed_target::kRevocations},
      security::RevocationLimits::kBytes,
      AuditClass::kTrust,
      version_of<security::Revocations>);
  add("permits",
      std::string{signed_target::kPermits},
      security::PermitLimits::kBytes,
      AuditClass::kTrust,
      version_of<security::DowngradePermits>);
  parse_current();
}

SecurityTargets::~SecurityTargets() = default;

void SecurityTargets::parse_current() {
  std::shared_ptr<const security::Policy> policy;
  auto revocations = std::make_shared<const security::Revocations>();
  auto permits = std::make_shared<const security::DowngradePermits>();
  for (const auto& kind : kinds_) {
    const auto held = kind->store->current();
    if (kind->name == "policy" && kind->store->lost()) {
      policy = std::make_shared<const security::Policy>();
    }
    if (!held) {
      continue;
    }
    // `check` has parsed these very bytes before.
    if (kind->name == "policy") {
      if (auto parsed = security::Policy::parse(held->bytes)) {
        policy = std::make_shared<const security::Policy>(std::move(*parsed));
      }
    } else if (kind->name == "revocations") {
      if (auto parsed = security::Revocations::parse(held->bytes)) {
        revocations = std::make_shared<const security::Revocations>(std::move(*parsed));
      }
    } else if (auto parsed = security::DowngradePermits::parse(held->bytes)) {
      permits = std::make_shared<const security::DowngradePermits>(std::move(*parsed));
    }
  }
  const std::lock_guard lock{mutex_};
  policy_ = std::move(policy);
  revocations_ = std::move(revocations);
  permits_ = std::move(permits);
}

std::shared_ptr<const security::Policy> SecurityTargets::policy() const {
  const std::lock_guard lock{mutex_};
  return policy_;
}

std::string SecurityTargets::policy_document() const {
  for (const auto& kind : kinds_) {
    if (const auto held = kind->store->current(); held && kind->name == "policy") {
      return held->bytes;
    }
  }
  return {};
}

void SecurityTargets::refresh(TargetReader& reader) {
  const std::lock_guard one_at_a_time{refreshing_};
  bool changed = false;
  for (const auto& kind : kinds_) {
    auto updated = update(*kind, reader);
    if (!updated) {
      refuse(*kind, updated.error());
      continue;
    }
    changed = changed || *updated;
    const std::lock_guard lock{mutex_};
    if (!kind->store->lost()) {
      kind->problem.clear();
    }
    kind->told.clear();
  }
  if (changed) {
    parse_current();
    boost::asio::post(core_.control, [this] {
      if (on_change_) {
        on_change_();
      }
    });
  }
}

// True if a new document is in force now.
Result<bool> SecurityTargets::update(Kind& kind, TargetReader& reader) {
  auto found = reader.find(kind.path);
  if (!found) {
    // Nothing is signed under that name. What once was stays in force: taking it away is no way to
    // be rid of it.
    if (found.error().code() == Error::Code::kNotFound) {
      return false;
    }
    return found.error();
  }
  const std::string& role = found->role.text();
  if (role != signed_target::kRole &&
      role != security::tuf::to_string(security::tuf::Role::kTargets)) {
    return Error{Error::Code::kPermissionDenied,
                 kind.path + " is signed by the role " + role + "; only " +
                     std::string{signed_target::kRole} + " and targets may"};
  }
  if (!found->stray.empty()) {
    return Error{Error::Code::kPermissionDenied,
                 "the role " + role + " also lists " + found->stray + ", which is not its own"};
  }
  const auto digest = found->file.sha256();
  if (!digest) {
    return digest.error();
  }
  if (!kind.store->is_new(*digest)) {
    return false;
  }
  auto bytes = reader.read(*found, kind.limit);
  if (!bytes) {
    return bytes.error();
  }
  SignedDocument candidate;
  candidate.target = kind.path;
  candidate.role = role;
  candidate.role_version = found->role_version;
  candidate.bytes = std::move(*bytes);
  candidate.verified_at = time_.now().now;
  auto examined = kind.store->examine(std::move(candidate));
  if (!examined) {
    return examined.error();
  }
  AuditEvent intent = AuditEvent::intent(kind.audit_class,
                                         security::Principal::system("trust"),
                                         kind.name + ".take_signed",
                                         "sec-" + core_.random.hex(8));
  intent.authn_method = "internal";
  intent.object.blob_digest = digest->to_string();
  Json::Object details;
  details.emplace("target", kind.path);
  details.emplace("role", role);
  details.emplace("role_version", found->role_version);
  details.emplace("version", examined->version);
  if (const auto held = kind.store->current()) {
    details.emplace("before", held->version);
  }
  intent.details = Json{std::move(details)};
  if (auto recorded = audit_.record_now(intent); !recorded) {
    return recorded.error();
  }
  const auto taken = kind.store->accept(std::move(*examined));
  if (auto closed = audit_.record_now(
          taken ? intent.outcome_of(AuditOutcome::kSuccess)
                : intent.outcome_of(AuditOutcome::kFailure, taken.error().to_string()));
      !closed) {
    core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  if (!taken) {
    return taken.error();
  }
  const auto raised =
      catalogue_.raise_floor(kind.floor_name(), static_cast<std::uint64_t>((*taken)->version));
  if (!raised) {
    core_.log.error("security.floor_not_raised", raised.error());
  }
  core_.log.info("security.taken",
                 {{"document", kind.name},
                  {"version", (*taken)->version},
                  {"target", kind.path},
                  {"role", role}});
  return true;
}

void SecurityTargets::refuse(Kind& kind, const Error& error) {
  if (is_absence(error)) {
    core_.log.info("security.not_refreshed",
                   {{"document", kind.name}, {"reason", error.to_string()}});
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    kind.problem = error.to_string();
    if (kind.told == kind.problem) {
      return;
    }
    kind.told = kind.problem;
  }
  core_.log.error("security.refused", error.with_context(kind.path));
  AuditEvent event = AuditEvent::intent(kind.audit_class,
                                        security::Principal::system("trust"),
                                        kind.name + ".refuse_signed",
                                        "sec-" + core_.random.hex(8));
  event.phase = AuditPhase::kSingle;
  event.outcome = AuditOutcome::kDenied;
  event.authn_method = "internal";
  event.reason = error.to_string();
  Json::Object details;
  details.emplace("target", kind.path);
  if (const auto held = kind.store->current()) {
    details.emplace("in_force", held->version);
  }
  event.details = Json{std::move(details)};
  if (auto recorded = audit_.record_now(event); !recorded) {
    core_.log.error("audit.denial_not_recorded", recorded.error());
  }
}

std::vector<SecurityTargets::DocumentView> SecurityTargets::views() const {
  std::vector<DocumentView> views;
  for (const auto& kind : kinds_) {
    DocumentView view;
    view.name = kind->name;
    view.target = kind->path;
    if (const auto held = kind->store->current()) {
      view.version = held->version;
      view.role = held->role;
      view.verified_at = held->verified_at;
    }
    {
      const std::lock_guard lock{mutex_};
      view.problem = kind->problem;
    }
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace skerry::agent
