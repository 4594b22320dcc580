#include "notify.hpp"

#include <csignal>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <systemd/sd-daemon.h>

#include "skerry/agent/notifier.hpp"
#include "skerry/async/sleep.hpp"

namespace skerry::agent {
namespace asio = boost::asio;

void notify_ready() {
  sd_notify(0, "READY=1");
}

void notify_stopping() {
  sd_notify(0, "STOPPING=1");
}

void notify_reloading(std::uint64_t monotonic_us) {
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", static_cast<unsigned long long>(monotonic_us));
}

void notify_status(const std::string& line) {
  sd_notify(0, ("STATUS=" + line).c_str());
}

Task<void> run_watchdog() {
  std::uint64_t interval_us = 0;
  if (sd_watchdog_enabled(0, &interval_us) <= 0) {
    Notifier never(co_await asio::this_coro::executor);
    while (true) {
      co_await never.wait();
    }
  }
  while (true) {
    sd_notify(0, "WATCHDOG=1");
    co_await async::sleep_for(std::chrono::microseconds(interval_us / 2));
  }
}

Task<void> run_signals(std::function<void()> reload, Log log) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGTERM, SIGINT, SIGHUP);
  while (true) {
    const int signal = co_await signals.async_wait(asio::use_awaitable);
    if (signal != SIGHUP) {
      log.info("daemon.stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
      co_return;
    }
    reload();
  }
}

}  // namespace skerry::agent
