#include "skerry/security/audit_record.hpp"

#include <algorithm>
#include <utility>

namespace skerry::security {

namespace {

constexpr std::size_t kMaxText = 512;
constexpr std::size_t kMaxGroups = 64;
constexpr std::size_t kMaxDetails = 4U << 10U;
constexpr std::size_t kMaxDepth = 4;

// OCSF class and activity (99: other).
struct ClassRow {
  AuditClass audit_class;
  std::string_view name;
  std::int64_t type_uid;
};

constexpr ClassRow kClasses[] = {
    {AuditClass::kInference, "inference", 600399},
    {AuditClass::kAuthorisation, "authorisation", 300399},
    {AuditClass::kAuthentication, "authentication", 300299},
    {AuditClass::kModelChange, "model_change", 600299},
    {AuditClass::kAdministration, "administration", 300499},
    {AuditClass::kPolicyChange, "policy_change", 300498},
    {AuditClass::kTrust, "trust", 200499},
    {AuditClass::kAuditItself, "audit", 600298},
};

const ClassRow& row_of(AuditClass audit_class) {
  for (const ClassRow& row : kClasses) {
    if (row.audit_class == audit_class) {
      return row;
    }
  }
  return kClasses[0];
}

// Text from outside made fit for a record: UTF-8, no control characters, bounded. A record must
// never be refused because of what the person it accuses sent.
std::string clean(std::string_view text) {
  std::string out{text.substr(0, kMaxText)};
  if (!is_utf8(out)) {
    // Perhaps only the cut split a character.
    std::string shorter = out;
    for (int i = 0; i < 3 && !shorter.empty() && !is_utf8(shorter); ++i) {
      shorter.pop_back();
    }
    if (text.size() > kMaxText && is_utf8(shorter)) {
      out = std::move(shorter);
    } else {
      std::replace_if(
          out.begin(),
          out.end(),
          [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; },
          '?');
    }
  }
  std::replace_if(
      out.begin(),
      out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      '?');
  return out;
}

Json clean(const Json& value, std::size_t depth) {
  if (const std::string* text = value.string()) {
    return Json{clean(*text)};
  }
  if (depth == 0) {
    return value.object() != nullptr || value.array() != nullptr ? Json{} : value;
  }
  if (const Json::Object* object = value.object()) {
    Json::Object out;
    for (const auto& [key, member] : *object) {
      out.emplace(clean(key), clean(member, depth - 1));
    }
    return Json{std::move(out)};
  }
  if (const Json::Array* array = value.array()) {
    Json::Array out;
    for (const Json& element : *array) {
      out.push_back(clean(element, depth - 1));
    }
    return Json{std::move(out)};
  }
  return value;
}

void put(Json::Object& out, std::string_view key, std::string_view text) {
  if (!text.empty()) {
    out.emplace(std::string{key}, clean(text));
  }
}

Json encode_object(const AuditObject& object) {
  Json::Object out;
  put(out, "model", object.model);
  put(out, "version", object.version);
  put(out, "variant", object.variant);
  put(out, "slot", object.slot);
  put(out, "manifest", object.manifest_digest);
  put(out, "blob", object.blob_digest);
  return Json{std::move(out)};
}

Json encode_actor(Principal actor) {
  if (actor.gids.size() > kMaxGroups) {
    actor.gids.resize(kMaxGroups);
  }
  return clean(actor.to_json(), kMaxDepth);
}

}  // namespace

std::string_view to_string(AuditClass audit_class) noexcept {
  return row_of(audit_class).name;
}

std::string_view to_string(AuditOutcome outcome) noexcept {
  switch (outcome) {
    case AuditOutcome::kSuccess:
      return "success";
    case AuditOutcome::kDenied:
      return "denied";
    case AuditOutcome::kFailure:
      return "failure";
    case AuditOutcome::kUnknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(AuditPhase phase) noexcept {
  switch (phase) {
    case AuditPhase::kIntent:
      return "intent";
    case AuditPhase::kOutcome:
      return "outcome";
    case AuditPhase::kSingle:
      break;
  }
  return "single";
}

AuditEvent AuditEvent::denied(const Principal& actor,
                              std::string authn_method,
                              std::string action,
                              const Decision& decision) {
  AuditEvent event;
  event.audit_class = AuditClass::kAuthorisation;
  event.action = std::move(action);
  event.actor = actor;
  event.authn_method = std::move(authn_method);
  event.decision = decision;
  event.object.model = decision.resource.model;
  event.object.variant = decision.resource.variant;
  event.outcome = AuditOutcome::kDenied;
  event.reason = decision.reason;
  return event;
}

AuditEvent AuditEvent::inference(const Principal& actor,
                                 std::string authn_method,
                                 std::string action,
                                 const Decision& decision,
                                 AuditObject object,
                                 AuditOutcome outcome) {
  AuditEvent event;
  event.audit_class = AuditClass::kInference;
  event.durability = AuditDurability::kGrouped;
  event.action = std::move(action);
  event.actor = actor;
  event.authn_method = std::move(authn_method);
  event.decision = decision;
  event.object = std::move(object);
  event.outcome = outcome;
  return event;
}

AuditEvent AuditEvent::intent(AuditClass audit_class,
                              const Principal& actor,
                              std::string action,
                              std::string correlation_id) {
  AuditEvent event;
  event.audit_class = audit_class;
  event.action = std::move(action);
  event.phase = AuditPhase::kIntent;
  event.actor = actor;
  event.outcome = AuditOutcome::kUnknown;
  event.correlation_id = std::move(correlation_id);
  return event;
}

AuditEvent AuditEvent::outcome_of(AuditOutcome result, std::string why) const {
  AuditEvent event = *this;
  event.phase = AuditPhase::kOutcome;
  event.outcome = result;
  event.reason = std::move(why);
  return event;
}

Result<std::string> encode_audit_record(const AuditEvent& event, const AuditStamp& stamp) {
  Json::Object record;
  record.emplace("seq", stamp.seq);
  record.emplace("time", to_rfc3339(stamp.wall));
  record.emplace("time_ms", static_cast<std::int64_t>(stamp.wall.time_since_epoch().count()));
  record.emplace("time_quality", std::string{to_string(stamp.time_quality)});
  record.emplace("boot_ns", static_cast<std::int64_t>(stamp.boot.count()));
  put(record, "boot_id", stamp.boot_id);
  put(record, "device", stamp.device_id);
  put(record, "tenant", stamp.tenant);
  record.emplace("class", std::string{to_string(event.audit_class)});
  record.emplace("type_uid", row_of(event.audit_class).type_uid);
  record.emplace("action", clean(event.action));
  record.emplace("phase", std::string{to_string(event.phase)});
  record.emplace("actor", encode_actor(event.actor));
  put(record, "authn", event.authn_method);
  if (event.decision) {
    record.emplace("authz", clean(event.decision->to_json(), kMaxDepth));
  }
  Json object = encode_object(event.object);
  if (!object.object()->empty()) {
    record.emplace("object", std::move(object));
  }
  record.emplace("outcome", std::string{to_string(event.outcome)});
  put(record, "reason", event.reason);
  put(record, "correlation", event.correlation_id);
  if (event.action.empty()) {
    return Error{Error::Code::kInvalidArgument, "an audit event without an action"};
  }
  if (!event.details.is_null()) {
    Json details = clean(event.details, kMaxDepth);
    auto canonical = details.canonical();
    if (!canonical || !details.is_object() || canonical->size() > kMaxDetails) {
      return Error{Error::Code::kInvalidArgument,
                   "audit event " + event.action +
                       ": details must be an object of at most 4 KiB without floats"};
    }
    record.emplace("details", std::move(details));
  }
  return Json{std::move(record)}.canonical();
}

}  // namespace skerry::security
