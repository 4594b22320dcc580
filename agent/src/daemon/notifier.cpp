#include "skerry/agent/notifier.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace skerry::agent {
namespace asio = boost::asio;

Notifier::Notifier(const asio::any_io_executor& executor)
    : timer_(executor, asio::steady_timer::time_point::max()) {}

Task<void> Notifier::wait() {
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  co_await timer_.async_wait(token);
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

Task<void> Notifier::wait_for(std::chrono::nanoseconds limit) {
  asio::steady_timer timeout(co_await asio::this_coro::executor);
  timeout.expires_after(std::max(limit, std::chrono::nanoseconds{0}));
  auto group = asio::experimental::make_parallel_group(timer_.async_wait(asio::deferred),
                                                       timeout.async_wait(asio::deferred));
  auto condition = asio::experimental::wait_for_one();
  co_await group.async_wait(condition, asio::use_awaitable);
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

}  // namespace skerry::agent
