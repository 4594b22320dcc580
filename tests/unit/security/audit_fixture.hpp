#pragma once

// A device's log in a temporary folder, for the audit tests.

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "skerry/security/audit_log.hpp"
#include "skerry/security/audit_verify.hpp"

namespace skerry::test {

struct AuditFixture {
  explicit AuditFixture(std::filesystem::path where) {
    options.directory = std::move(where);
    options.origin = "skerry.audit/gw-17";
    options.device_id = "gw-17";
    options.tenant = "acme";
  }

  [[nodiscard]] Result<std::unique_ptr<security::AuditLog>> open(FileSystem& fs) const {
    return security::AuditLog::open(fs, options, key, clock);
  }

  [[nodiscard]] Result<security::AuditVerification> verify(FileSystem& fs,
                                                           const std::filesystem::path& path,
                                                           bool allow_torn_tail = false) const {
    security::AuditVerifyOptions verify_options;
    verify_options.origin = options.origin;
    verify_options.allow_torn_tail = allow_torn_tail;
    return security::verify_audit_log(fs, path, key->public_key(), verify_options);
  }

  static security::AuditEvent durable(const std::string& action) {
    security::AuditEvent event;
    event.action = action;
    event.actor = security::Principal::local(0, {0}, "root");
    event.authn_method = "peercred";
    return event;
  }

  static security::AuditEvent grouped(const std::string& action = "inference.generate") {
    security::Decision decision;
    decision.allowed = true;
    decision.role = "app";
    return security::AuditEvent::inference(security::Principal::token("app"),
                                           "token",
                                           action,
                                           decision,
                                           {"acme/log-triage", "1.0.0", "q4_k_m", "", "", ""},
                                           security::AuditOutcome::kSuccess);
  }

  FakeClock clock{WallTime{std::chrono::seconds{1795000000}}};
  std::shared_ptr<const security::Signer> key =
      std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
  security::AuditOptions options;
};

}  // namespace skerry::test
