#include "skerry/async/sleep.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace skerry::async {

namespace asio = boost::asio;

Task<void> sleep_for(std::chrono::nanoseconds duration) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(duration));
  co_await timer.async_wait(asio::use_awaitable);
}

bool is_cancelled(const std::exception_ptr& error) {
  if (!error) {
    return false;
  }
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& caught) {
    return caught.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

}  // namespace skerry::async
