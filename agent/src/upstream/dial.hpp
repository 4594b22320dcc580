#pragma once

// Connects to one of a host's addresses: one that does not answer at once is not waited for alone,
// the next is tried beside it, and the first connection counts (as RFC 8305). Private to
// connection.cpp.

#include <chrono>
#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include "skerry/async/task.hpp"

namespace skerry::agent::upstream {

// Of both families in turn, as many as are tried.
std::vector<boost::asio::ip::tcp::endpoint> in_turn(
    const std::vector<boost::asio::ip::tcp::endpoint>& addresses);

class Dial {
 public:
  // The next address is tried after `pace`, or as soon as all before it failed.
  explicit Dial(boost::asio::any_io_executor executor,
                std::chrono::milliseconds pace = std::chrono::milliseconds{250});
  ~Dial() { abandon(); }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  // `socket` is connected, or the last failure; operation_aborted after `abandon` or when
  // cancelled. It takes as long as the last address does: whoever calls has a limit. One at a time.
  Task<boost::system::error_code> run(std::vector<boost::asio::ip::tcp::endpoint> addresses,
                                      boost::asio::ip::tcp::socket& socket);
  void abandon();

 private:
  struct Race;

  boost::asio::any_io_executor executor_;
  std::chrono::milliseconds pace_;
  std::shared_ptr<Race> race_;
};

}  // namespace skerry::agent::upstream
