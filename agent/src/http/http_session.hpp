#pragma once

// What one HTTP connection asks and is answered: routing, authentication, OpenAI's calls.

#include <functional>
#include <memory>
#include <optional>

#include "skerry/agent/access.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/security/token_store.hpp"

#include "http_connection.hpp"

namespace skerry::agent {

struct HttpParts {
  Core& core;
  Inference& inference;
  Access& access;
  AuditWriter& audit;
  ModelHost& host;
  security::TokenStore& tokens;
  Metrics& metrics;
  std::function<Gauges()> gauges;
};

// Serves requests until the client closes, idles too long or breaks a rule. `caller` is who the
// socket proved; none on TCP, where each request needs a bearer token.
Task<void> serve_http(HttpParts& parts,
                      std::unique_ptr<HttpConnection> connection,
                      std::optional<Caller> caller);

}  // namespace skerry::agent
