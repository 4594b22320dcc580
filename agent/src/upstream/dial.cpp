#include "dial.hpp"

#include <cstddef>
#include <fcntl.h>
#include <optional>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skerry::agent::upstream {

namespace {

constexpr std::size_t kMostAddresses = 8;

}  // namespace

struct Dial::Race {
  Race(const boost::asio::any_io_executor& executor, std::size_t most) : changed(executor) {
    // They stay where they are.
    sockets.reserve(most);
  }

  // What has become of one; `race` is gone if nobody waits any more.
  static void ended(const std::weak_ptr<Race>& race,
                    std::size_t number,
                    const boost::system::error_code& ec) {
    const std::shared_ptr<Race> alive = race.lock();
    if (!alive || alive->abandoned) {
      return;
    }
    --alive->under_way;
    if (ec) {
      alive->last = ec;
      alive->due = true;
    } else if (!alive->first) {
      alive->first = number;
    }
    alive->changed.cancel();
  }

  boost::asio::steady_timer changed;
  std::vector<boost::asio::ip::tcp::socket> sockets;
  std::size_t under_way = 0;
  std::optional<std::size_t> first;  // that connected
  boost::system::error_code last = boost::asio::error::host_not_found;
  bool due = true;  // the next may begin
  bool abandoned = false;
};

std::vector<boost::asio::ip::tcp::endpoint> in_turn(
    const std::vector<boost::asio::ip::tcp::endpoint>& addresses) {
  std::vector<boost::asio::ip::tcp::endpoint> same;  // the family that the system puts first
  std::vector<boost::asio::ip::tcp::endpoint> other;
  for (const auto& address : addresses) {
    const bool first = address.protocol() == addresses.front().protocol();
    (first ? same : other).push_back(address);
  }
  std::vector<boost::asio::ip::tcp::endpoint> out;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    for (const auto* family : {&same, &other}) {
      if (i < family->size() && out.size() < kMostAddresses) {
        out.push_back((*family)[i]);
      }
    }
  }
  return out;
}

Dial::Dial(boost::asio::any_io_executor executor, std::chrono::milliseconds pace)
    : executor_(std::move(executor)), pace_(pace) {}

Task<boost::system::error_code> Dial::run(std::vector<boost::asio::ip::tcp::endpoint> addresses,
                                          boost::asio::ip::tcp::socket& socket) {
  auto race = std::make_shared<Race>(executor_, addresses.size());
  race_ = race;
  while (!race->first) {
    const std::size_t next = race->sockets.size();
    if (next < addresses.size() && std::exchange(race->due, false)) {
      boost::system::error_code ec;
      boost::asio::ip::tcp::socket& one = race->sockets.emplace_back(executor_);
      one.open(addresses[next].protocol(), ec);
      if (ec) {
        race->last = ec;
        race->due = true;
        continue;
      }
      // A worker that starts meanwhile does not inherit it.
      ::fcntl(one.native_handle(), F_SETFD, FD_CLOEXEC);
      ++race->under_way;
      one.async_connect(
          addresses[next],
          [weak = std::weak_ptr(race), next](const boost::system::error_code& failed) {
            Race::ended(weak, next, failed);
          });
    }
    if (race->under_way == 0 && race->sockets.size() == addresses.size()) {
      co_return race->last;
    }
    if (race->sockets.size() < addresses.size()) {
      race->changed.expires_after(pace_);
    } else {
      race->changed.expires_at(boost::asio::steady_timer::time_point::max());
    }
    boost::system::error_code ec;
    auto token = boost::asio::redirect_error(boost::asio::use_awaitable, ec);
    co_await race->changed.async_wait(token);
    race->due = race->due || !ec;
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (race->abandoned || state.cancelled() != boost::asio::cancellation_type::none) {
      co_return boost::asio::error::operation_aborted;
    }
  }
  socket = std::move(race->sockets[*race->first]);
  // Who comes later is not needed.
  abandon();
  co_return boost::system::error_code();
}

void Dial::abandon() {
  const std::shared_ptr<Race> race = std::exchange(race_, nullptr);
  if (race) {
    race->abandoned = true;
    for (boost::asio::ip::tcp::socket& one : race->sockets) {
      boost::system::error_code ignored;
      one.close(ignored);
    }
    race->changed.cancel();
  }
}

}  // namespace skerry::agent::upstream
