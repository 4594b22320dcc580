#pragma once

// One HTTP connection: requests one after another, each checked (Host, Origin), authenticated and
// routed to the front end that answers it.

#include <memory>
#include <optional>

#include "http_exchange.hpp"

namespace skerry::agent {

// Serves requests until the client closes, idles too long or breaks a rule. `caller` is who the
// socket proved; none on TCP, where each request needs a token.
Task<void> serve_http(HttpParts& parts,
                      std::unique_ptr<HttpConnection> connection,
                      std::optional<Caller> caller);

}  // namespace skerry::agent
