#pragma once

// One HTTP exchange with a server over TCP or TLS: connect, send, read piece by piece. Whoever
// reads decides when the next piece is taken, so a server is never read faster than its answer is
// passed on. Private to Upstreams.

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ssl/context.hpp>

#include "skerry/agent/upstream_http.hpp"
#include "skerry/agent/upstreams.hpp"
#include "skerry/async/task.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::upstream {

// Null for http://. kConfigInvalid names the file that cannot be used.
Result<std::shared_ptr<boost::asio::ssl::context>> make_tls(const EndpointOptions& options,
                                                            const Url& url);

class Exchange {
 public:
  // `most`: bytes of the reply's body. `tls` null: in the clear.
  Exchange(const boost::asio::any_io_executor& executor,
           Url url,
           std::shared_ptr<boost::asio::ssl::context> tls,
           std::uint64_t most);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // kUnavailable (name, connection, certificate, time), kCancelled after `abort`. Messages name no
  // host: they go to callers.
  Task<Result<void>> connect(std::chrono::nanoseconds timeout);
  // Once connected; errors as those of `connect`. Succeeds also if the server closed before it had
  // read everything: `read` tells what it said before, if anything.
  Task<Result<void>> send(std::string request, std::chrono::nanoseconds timeout);
  // Waits for the next bytes and feeds them to `reply`. False once the reply is whole. Errors as
  // those of `connect`, and those of ReplyReader.
  Task<Result<bool>> read(std::chrono::nanoseconds timeout);
  ReplyReader& reply();
  // Of the last failure what callers are not told: where it was. Empty: there was none.
  [[nodiscard]] const std::string& detail() const;
  // The server may have got some of the request.
  [[nodiscard]] bool given() const;

  // Ends it at once, whatever it waits for.
  void abort();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace skerry::agent::upstream
