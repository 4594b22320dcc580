#pragma once

// Asks for a host's addresses. getaddrinfo cannot be interrupted and may take half a minute where
// no name server answers, so it runs on a thread that nobody waits for: whoever asked goes on when
// it gives up, the process ends without it, and what is found later is dropped. Asio's own
// resolver would ask one after the other and wait at the end. Private to connection.cpp.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include "skerry/async/task.hpp"

namespace skerry::agent::upstream {

class Lookup {
 public:
  struct Found {
    boost::system::error_code ec;
    std::vector<boost::asio::ip::tcp::endpoint> addresses;
  };
  // Runs on another thread and may outlive whoever asked: it holds nothing of theirs.
  using Ask = std::function<Found()>;
  // Threads that wait for an answer, in the whole process; more are refused.
  static constexpr unsigned kMost = 16;

  explicit Lookup(const boost::asio::any_io_executor& executor);
  ~Lookup() { abandon(); }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // What `ask` found; operation_aborted after `abandon` or when cancelled. One at a time.
  Task<Found> run(Ask ask);
  void abandon();

 private:
  struct Shared;

  // Held by nobody else for longer than a handler runs.
  std::shared_ptr<boost::asio::steady_timer> woken_;
  std::shared_ptr<Shared> shared_;
};

// By the system's resolver.
Lookup::Ask ask_system(std::string host, std::string port);

}  // namespace skerry::agent::upstream
