#pragma once

// The one way from a dialect's text request to its answer, for every HTTP front end: submits each
// choice to the service layer, collects what comes, lets the dialect write it, ends the work when
// the client goes. Control thread.

#include <memory>
#include <string>

#include "skerry/agent/text_request.hpp"

#include "http_exchange.hpp"

namespace skerry::agent {

// What the service layer is given for one choice of a request.
TextJob text_job_of(const TextRequest& request, std::size_t choice, const std::string& id);

// Answers whole or as a stream, as the request says. What fails before the first event is an
// ordinary error. False if the client is gone.
Task<bool> serve_text(HttpExchange& exchange,
                      Caller caller,
                      TextRequest request,
                      std::unique_ptr<TextDialect> dialect);

}  // namespace skerry::agent
