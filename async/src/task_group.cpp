#include "skerry/async/task_group.hpp"

#include <cstdlib>
#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include "skerry/async/sleep.hpp"

namespace skerry::async {

namespace asio = boost::asio;

struct TaskGroup::Impl {
  struct Entry {
    std::string name;
    asio::cancellation_signal cancel;
  };

  Impl(asio::any_io_executor on, ErrorHandler handler)
      : executor(std::move(on)), on_error(std::move(handler)), idle(executor) {
    idle.expires_at(asio::steady_timer::time_point::max());
  }

  void finished(std::list<Entry>::iterator entry, const std::exception_ptr& error) {
    if (error && !is_cancelled(error) && on_error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& caught) {
        on_error(entry->name, caught.what());
      } catch (...) {
        on_error(entry->name, "an exception of unknown type");
      }
    }
    entries.erase(entry);
    if (entries.empty()) {
      idle.cancel();
    }
  }

  asio::any_io_executor executor;
  ErrorHandler on_error;
  std::list<Entry> entries;
  // Never expires; cancelled to wake `stop`.
  asio::steady_timer idle;
  bool stopped = false;
};

TaskGroup::TaskGroup(asio::any_io_executor executor, ErrorHandler on_error)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(on_error))) {}

TaskGroup::~TaskGroup() {
  if (!impl_->entries.empty()) {
    std::abort();
  }
}

void TaskGroup::spawn(std::string name, Task<void> task) {
  if (impl_->stopped) {
    return;
  }
  const auto entry = impl_->entries.emplace(impl_->entries.end());
  entry->name = std::move(name);
  asio::co_spawn(impl_->executor,
                 std::move(task),
                 asio::bind_cancellation_slot(
                     entry->cancel.slot(), [impl = impl_, entry](const std::exception_ptr& error) {
                       impl->finished(entry, error);
                     }));
}

std::size_t TaskGroup::size() const {
  return impl_->entries.size();
}

Task<void> TaskGroup::stop() {
  const auto impl = impl_;
  impl->stopped = true;
  for (auto it = impl->entries.begin(); it != impl->entries.end();) {
    // A task may end inside `emit`, which erases its entry.
    auto& signal = it->cancel;
    ++it;
    signal.emit(asio::cancellation_type::terminal);
  }
  while (!impl->entries.empty()) {
    try {
      co_await impl->idle.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
      // Woken, or the caller itself is cancelled: the tasks are waited for all the same.
    }
  }
}

}  // namespace skerry::async
