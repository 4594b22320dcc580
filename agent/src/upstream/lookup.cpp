#include "lookup.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skerry::agent::upstream {

struct Lookup::Shared {
  std::mutex mutex;
  std::function<void()> wake;  // none once nobody waits
  std::optional<Found> found;

  void leave() {
    const std::lock_guard lock(mutex);
    wake = nullptr;
  }
};

namespace {

std::atomic<unsigned> lookups_under_way{0};

// `work` counts itself out. False: there are too many, or no thread could be started.
bool run_apart(std::function<void()> work) {
  if (lookups_under_way.fetch_add(1) >= Lookup::kMost) {
    lookups_under_way.fetch_sub(1);
    return false;
  }
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error&) {
    lookups_under_way.fetch_sub(1);
    return false;
  }
  return true;
}

}  // namespace

Lookup::Lookup(const boost::asio::any_io_executor& executor)
    : woken_(std::make_shared<boost::asio::steady_timer>(executor)) {}

Task<Lookup::Found> Lookup::run(Ask ask) {
  auto shared = std::make_shared<Shared>();
  shared->wake = [executor = woken_->get_executor(), weak = std::weak_ptr(woken_)] {
    boost::asio::post(executor, [weak] {
      if (const auto alive = weak.lock()) {
        alive->cancel();
      }
    });
  };
  shared_ = shared;
  auto work = [shared, ask = std::move(ask)] {
    Found found;
    try {
      found = ask();
    } catch (...) {
      found.ec = boost::asio::error::no_memory;
    }
    lookups_under_way.fetch_sub(1);
    const std::lock_guard lock(shared->mutex);
    shared->found = std::move(found);
    if (shared->wake) {
      shared->wake();
    }
  };
  Found found;
  found.ec = boost::asio::error::host_not_found_try_again;
  const bool begun = run_apart(std::move(work));
  if (begun) {
    boost::system::error_code ignored;
    auto token = boost::asio::redirect_error(boost::asio::use_awaitable, ignored);
    woken_->expires_at(boost::asio::steady_timer::time_point::max());
    co_await woken_->async_wait(token);
    const std::lock_guard lock(shared->mutex);
    shared->wake = nullptr;
    if (shared->found) {
      found = *std::exchange(shared->found, std::nullopt);
    } else {
      found.ec = boost::asio::error::operation_aborted;
    }
  }
  co_return found;
}

void Lookup::abandon() {
  if (shared_) {
    shared_->leave();
    shared_.reset();
  }
  woken_->cancel();
}

Lookup::Ask ask_system(std::string host, std::string port) {
  return [host = std::move(host), port = std::move(port)] {
    boost::asio::io_context own;
    boost::asio::ip::tcp::resolver resolver(own);
    Lookup::Found found;
    for (const auto& entry : resolver.resolve(host, port, found.ec)) {
      found.addresses.push_back(entry.endpoint());
    }
    return found;
  };
}

}  // namespace skerry::agent::upstream
