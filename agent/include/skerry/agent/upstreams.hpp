#pragma once

// Models that another server answers: vLLM, mlx_lm.server, Ollama, Foundry Local or anything with
// OpenAI's interface. Keeps the servers' health, and makes a `runtime::LoadedModel` of a signed
// description, so that front ends, RBAC, audit, quotas and metrics are those of every model
// (docs/upstreams.md, ADR 0109). Runs on the control thread.
//
// A request is given to another server only while nothing of its answer has come, to three at most,
// and to one at most after a connection was lost over it.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/agent/upstream_quirks.hpp"
#include "skerry/async/task.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/upstream_spec.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent::upstream {

struct EndpointOptions {
  std::string name;
  std::string url;
  ServerKind kind = ServerKind::kCompatible;
  Tier tier = Tier::kLocal;
  unsigned max_concurrent = 0;  // 0: as its kind bears
  bool insecure_http = false;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // Read for each request, so that a new key counts at once; never logged.
  std::string api_key_file;
};

struct UpstreamOptions {
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds first_byte_timeout{300'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds probe_interval{10'000};
  std::size_t max_waiting = 256;
  std::vector<EndpointOptions> endpoints;
};

// kConfigInvalid names the endpoint: a name twice, no URL, plain HTTP where it may not be (beyond
// this machine without insecure_http, to the cloud ever, with a key to send), tier "local" with
// another machine's address.
Result<void> check_options(const UpstreamOptions& options);

// For status and metrics.
struct EndpointView {
  std::string name;
  std::string server;
  std::string tier;
  std::string state;  // "unknown", "up", "down"
  std::string problem;
  unsigned in_flight = 0;
  unsigned most = 0;
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
};

class Upstreams {
 public:
  // What the executor runs is never blocked; files are read on `disk`. `clock` and `fs` outlive it.
  static Result<std::unique_ptr<Upstreams>> make(boost::asio::any_io_executor control,
                                                 boost::asio::any_io_executor disk,
                                                 UpstreamOptions options,
                                                 const Clock& clock,
                                                 FileSystem& fs,
                                                 Log log);
  // After `stop`.
  virtual ~Upstreams() = default;

  // Probes the servers until cancelled.
  virtual Task<void> run() = 0;
  // Asks the servers of the tiers in `spec.order` how they are, as far as that is not known, and
  // succeeds once one is well and has the model: the proof of a model that runs elsewhere.
  // kUnavailable says of each why not; kUnimplemented if none is configured for it.
  virtual Task<Result<std::shared_ptr<runtime::LoadedModel>>> load(Digest model, Spec spec) = 0;
  // Cancels what runs and waits for it.
  virtual Task<void> stop() = 0;
  [[nodiscard]] virtual std::vector<EndpointView> view() const = 0;
};

}  // namespace skerry::agent::upstream
