#include "skerry/agent/administration.hpp"

#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/common/bytes.hpp"

#include "decommission.hpp"

namespace skerry::agent {

using security::AuditClass;
using security::AuditOutcome;
using security::Verb;

template <class T>
Task<Result<T>> Administration::change(Caller caller,
                                       Verb verb,
                                       AuditClass audit_class,
                                       std::string action,
                                       std::string subject,
                                       std::function<Result<T>()> work) {
  security::Resource resource;
  Result<security::Decision> decision =
      co_await parts_.access.authorise(caller, verb, resource, action);
  if (!decision) {
    co_return decision.error();
  }
  security::AuditEvent intent = security::AuditEvent::intent(
      audit_class, caller.principal, action, "adm-" + core_.random.hex(8));
  intent.authn_method = caller.authn_method;
  intent.decision = *decision;
  Json::Object details;
  details.emplace("subject", Json{subject});
  intent.details = Json{std::move(details)};
  Result<void> recorded = co_await parts_.audit.record_durable(intent);
  if (!recorded) {
    co_return recorded.error();
  }
  Result<T> result = co_await async::offload(core_.disk, std::move(work));
  security::AuditEvent outcome =
      result ? intent.outcome_of(AuditOutcome::kSuccess)
             : intent.outcome_of(AuditOutcome::kFailure, result.error().to_string());
  Result<void> closed = co_await parts_.audit.record_durable(std::move(outcome));
  if (!closed) {
    core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  co_return result;
}

Task<Result<std::shared_ptr<const security::Policy>>> Administration::set_policy(
    Caller caller, std::string document, bool dry_run) {
  using Held = std::shared_ptr<const security::Policy>;
  if (dry_run) {
    Result<void> allowed =
        co_await parts_.access.authorise_read(caller, Verb::kAdminPolicyWrite, "policy.check");
    if (!allowed) {
      co_return allowed.error();
    }
    Result<security::Policy> parsed = security::Policy::parse(document);
    if (!parsed) {
      co_return parsed.error();
    }
    co_return std::make_shared<const security::Policy>(*std::move(parsed));
  }
  const std::string digest = Digest::of(document).to_string();
  std::function<Result<Held>()> work = [this, document = std::move(document)]() -> Result<Held> {
    if (Result<void> local = parts_.access.check_local(); !local) {
      return local.error();
    }
    return parts_.access.store().replace(document);
  };
  Result<Held> policy = co_await change<Held>(std::move(caller),
                                              Verb::kAdminPolicyWrite,
                                              AuditClass::kPolicyChange,
                                              "policy.set",
                                              digest,
                                              std::move(work));
  if (policy) {
    core_.log.info("policy.set", {{"version", (*policy)->version()}, {"digest", digest}});
  }
  co_return policy;
}

Task<Result<std::string>> Administration::policy_document(Caller caller) {
  Result<void> allowed =
      co_await parts_.access.authorise_read(caller, Verb::kAdminPolicyRead, "policy.get");
  if (!allowed) {
    co_return allowed.error();
  }
  auto work = [this]() -> Result<std::string> { return parts_.access.document(); };
  Result<std::string> text = co_await async::offload(core_.disk, std::move(work));
  co_return text;
}

Task<Result<security::NewToken>> Administration::create_token(Caller caller,
                                                              std::string name,
                                                              std::uint64_t ttl_seconds) {
  std::optional<std::chrono::seconds> lifetime;
  if (ttl_seconds > 0) {
    lifetime = std::chrono::seconds(
        static_cast<std::int64_t>(std::min<std::uint64_t>(ttl_seconds, 100ULL * 365 * 24 * 3600)));
  }
  std::function<Result<security::NewToken>()> work = [this, name, lifetime] {
    return parts_.tokens.create(
        name, TenantId{core_.settings->device().tenant}, lifetime, core_.clock, core_.random);
  };
  Result<security::NewToken> token =
      co_await change<security::NewToken>(std::move(caller),
                                          Verb::kAdminTokens,
                                          AuditClass::kAuthentication,
                                          "token.create",
                                          name,
                                          std::move(work));
  co_return token;
}

Task<Result<std::vector<security::TokenRecord>>> Administration::list_tokens(Caller caller) {
  Result<void> allowed =
      co_await parts_.access.authorise_read(caller, Verb::kAdminTokens, "token.list");
  if (!allowed) {
    co_return allowed.error();
  }
  co_return parts_.tokens.list();
}

Task<Result<bool>> Administration::revoke_token(Caller caller, std::string name) {
  std::function<Result<bool>()> work = [this, name]() -> Result<bool> {
    Result<void> revoked = parts_.tokens.revoke(name);
    if (!revoked && revoked.error().code() == Error::Code::kNotFound) {
      return false;
    }
    if (!revoked) {
      return revoked.error();
    }
    return true;
  };
  Result<bool> found = co_await change<bool>(std::move(caller),
                                             Verb::kAdminTokens,
                                             AuditClass::kAuthentication,
                                             "token.revoke",
                                             name,
                                             std::move(work));
  co_return found;
}

Task<Result<std::string>> Administration::decommission(Caller caller,
                                                       std::string confirm,
                                                       std::string reason) {
  const std::string id = parts_.device_id();
  const std::string name = core_.settings->device().name;
  if (confirm.empty() || (confirm != id && confirm != name)) {
    co_return Error(Error::Code::kInvalidArgument,
                    "this gateway is \"" + name + "\"" + (id.empty() ? "" : ", " + id) +
                        ", not \"" + confirm.substr(0, 80) + "\": nothing was done");
  }
  if (reason.size() > 256 || !is_utf8(reason)) {
    co_return Error(Error::Code::kInvalidArgument, "the reason has at most 256 bytes of UTF-8");
  }
  const std::string order = "local-" + core_.random.hex(8);
  std::function<Result<std::string>()> work =
      [this, order, reason, by = caller.principal.to_string()]() -> Result<std::string> {
    Decommission record;
    record.order_id = order;
    record.reason = reason;
    record.by = by;
    record.at = core_.clock.wall_now();
    if (Result<void> begun = begin_decommission(core_.fs, core_.settings->state_dir(), record);
        !begun) {
      return begun.error();
    }
    return order;
  };
  Result<std::string> begun = co_await change<std::string>(std::move(caller),
                                                           Verb::kAdminShutdown,
                                                           AuditClass::kAdministration,
                                                           "device.decommission",
                                                           order,
                                                           std::move(work));
  if (begun) {
    core_.log.warning("device.decommission", {{"by", "administrator"}, {"order", order}});
    // After the answer: the daemon drains its calls before it ends.
    parts_.end(order);
  }
  co_return begun;
}

Task<Result<bool>> Administration::forgive(Caller caller, std::string digest) {
  Result<Digest> parsed = Digest::parse(digest);
  if (!parsed) {
    co_return parsed.error().with_context("digest");
  }
  std::function<Result<bool>()> work = [this, wanted = *parsed]() -> Result<bool> {
    Result<std::vector<registry::KnownBad>> bad = parts_.catalogue.list_bad();
    if (!bad) {
      return bad.error();
    }
    bool found = false;
    for (const registry::KnownBad& entry : *bad) {
      if (entry.manifest != wanted) {
        continue;
      }
      found = true;
      if (Result<void> done = parts_.catalogue.forgive(entry.manifest, entry.variant); !done) {
        return done.error();
      }
    }
    return found;
  };
  Result<bool> found = co_await change<bool>(std::move(caller),
                                             Verb::kAdminSlotsWrite,
                                             AuditClass::kModelChange,
                                             "quarantine.clear",
                                             digest,
                                             std::move(work));
  co_return found;
}

Task<Result<security::AuditVerification>> Administration::verify_audit(Caller caller) {
  Result<void> allowed =
      co_await parts_.access.authorise_read(caller, Verb::kAuditRead, "audit.verify");
  if (!allowed) {
    co_return allowed.error();
  }
  co_await parts_.audit.flush();
  auto work = [this] {
    security::AuditVerifyOptions options;
    options.origin = parts_.audit.log().options().origin;
    options.allow_torn_tail = true;
    return security::verify_audit_log(core_.fs, parts_.audit_dir, parts_.audit_key, options);
  };
  Result<security::AuditVerification> verified =
      co_await async::offload(core_.disk, std::move(work));
  co_return verified;
}

Task<Result<std::filesystem::path>> Administration::export_audit(Caller caller,
                                                                 std::uint64_t from_seq) {
  Result<void> allowed =
      co_await parts_.access.authorise_read(caller, Verb::kAuditExport, "audit.export");
  if (!allowed) {
    co_return allowed.error();
  }
  co_await parts_.audit.flush();
  const std::filesystem::path out =
      core_.settings->state_dir() / "staging" / ("audit-export-" + core_.random.hex(8));
  auto work = [this, out, from_seq]() -> Result<std::filesystem::path> {
    if (Result<void> done = core_.fs.create_directories(out.parent_path()); !done) {
      return done.error();
    }
    if (Result<void> done = security::export_audit_log(core_.fs, parts_.audit_dir, out, from_seq);
        !done) {
      return done.error();
    }
    return out;
  };
  Result<std::filesystem::path> path = co_await async::offload(core_.disk, std::move(work));
  co_return path;
}

Task<Result<void>> Administration::begin_stick_report(Caller caller) {
  Result<void> allowed =
      co_await parts_.access.authorise_read(caller, Verb::kAuditExport, "report.export");
  if (allowed) {
    co_await parts_.audit.flush();
  }
  co_return allowed;
}

Task<Result<std::vector<security::AuditEntry>>> Administration::read_audit(std::uint64_t from,
                                                                           std::size_t max) {
  auto work = [this, from, max] { return parts_.audit.log().read(from, max); };
  Result<std::vector<security::AuditEntry>> entries =
      co_await async::offload(core_.disk, std::move(work));
  co_return entries;
}

Task<Result<Administration::Collected>> Administration::collect(Caller caller, bool dry_run) {
  std::set<Digest> leased = parts_.host.leased_blobs();
  std::function<Result<Collected>()> work = [this, dry_run, leased]() -> Result<Collected> {
    Result<registry::GcPlan> plan = registry::plan_gc(parts_.catalogue, parts_.store, leased);
    if (!plan) {
      return plan.error();
    }
    Collected collected;
    for (const registry::GcEntry& entry : plan->entries) {
      collected.decisions.push_back((entry.keep ? "keep " : "remove ") + entry.digest.to_string() +
                                    " " + std::to_string(entry.size) + ": " + entry.why);
    }
    collected.freed = plan->reclaimable;
    if (!dry_run) {
      Result<registry::GcReport> report = registry::run_gc(parts_.catalogue, parts_.store, leased);
      if (!report) {
        return report.error();
      }
      collected.freed = report->bytes;
    }
    return collected;
  };
  if (dry_run) {
    Result<void> allowed = co_await parts_.access.authorise_read(
        std::move(caller), Verb::kAdminRegistryRead, "registry.collect_plan");
    if (!allowed) {
      co_return allowed.error();
    }
    Result<Collected> plan = co_await async::offload(core_.disk, std::move(work));
    co_return plan;
  }
  Result<Collected> done = co_await change<Collected>(std::move(caller),
                                                      Verb::kAdminRegistryWrite,
                                                      AuditClass::kAdministration,
                                                      "registry.collect",
                                                      "",
                                                      std::move(work));
  co_return done;
}

Task<Result<registry::ScrubReport>> Administration::scrub(Caller caller,
                                                          registry::ScrubOptions options) {
  security::Resource resource;
  Result<security::Decision> decision = co_await parts_.access.authorise(
      caller, Verb::kAdminRegistryWrite, resource, "registry.scrub");
  if (!decision) {
    co_return decision.error();
  }
  security::AuditEvent intent = security::AuditEvent::intent(AuditClass::kAdministration,
                                                             caller.principal,
                                                             "registry.scrub",
                                                             "adm-" + core_.random.hex(8));
  intent.authn_method = caller.authn_method;
  intent.decision = *decision;
  Result<void> recorded = co_await parts_.audit.record_durable(intent);
  if (!recorded) {
    co_return recorded.error();
  }
  Result<registry::ScrubReport> report = co_await parts_.maintenance.scrub(options);
  security::AuditEvent outcome =
      report ? intent.outcome_of(AuditOutcome::kSuccess)
             : intent.outcome_of(AuditOutcome::kFailure, report.error().to_string());
  Result<void> closed = co_await parts_.audit.record_durable(std::move(outcome));
  if (!closed) {
    core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  co_return report;
}

}  // namespace skerry::agent
