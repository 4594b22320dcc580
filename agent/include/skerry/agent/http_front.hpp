#pragma once

// HTTP for apps: the dialects of OpenAI, Anthropic, Ollama and KServe, /metrics, /health, on a Unix
// socket (callers by their credentials) and, if enabled, on a loopback port (callers by bearer
// token). A thin adapter over `Inference`; docs/http.md has the calls and the limits. Control
// thread.

#include <functional>
#include <memory>

#include "skerry/agent/access.hpp"
#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/import_administration.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/async/task.hpp"
#include "skerry/security/token_store.hpp"

namespace skerry::agent {

class HttpFront {
 public:
  HttpFront(Core& core,
            Inference& inference,
            Access& access,
            AuditWriter& audit,
            ModelHost& host,
            SlotManager& slots,
            ImportAdministration& imports,
            security::TokenStore& tokens,
            Metrics& metrics,
            std::function<Gauges()> gauges);
  ~HttpFront();

  // Binds what the settings name.
  Result<void> start();
  // Accepts until cancelled.
  Task<void> run();
  // Ends every connection and waits.
  Task<void> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::agent
