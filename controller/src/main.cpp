// skerry-controller: reads its configuration, runs the controller until it is told to stop.

#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/controller/backup.hpp"
#include "skerry/controller/controller.hpp"

namespace skerry::controller {
namespace {

namespace asio = boost::asio;

struct Options {
  std::string config;
  bool check = false;
  std::string backup_to;
  std::string restore_from;
  std::string verify;
};

Result<Settings> read_settings(FileSystem& fs, const std::string& path) {
  Config config;
  if (!path.empty()) {
    auto loaded = load_config(fs, path);
    if (!loaded) {
      return loaded.error();
    }
    config = std::move(*loaded);
  }
  return Settings::finalize(std::move(config));
}

// SIGTERM and SIGINT end the program, which ends every other task.
Task<void> wait_for_stop(asio::io_context& io, Log log) {
  asio::signal_set signals{io, SIGTERM, SIGINT};
  const int signal = co_await signals.async_wait(asio::use_awaitable);
  log.info("controller.stopping", {{"signal", signal}});
}

// SIGHUP: the policy and the log level; everything else needs a restart, and the log says so.
Task<void> reload_on_hangup(
    asio::io_context& io, Controller& controller, FileSystem& fs, const Options& options, Log log) {
  asio::signal_set signals{io, SIGHUP};
  for (;;) {
    co_await signals.async_wait(asio::use_awaitable);
    ::sd_notify(0, "RELOADING=1");
    const auto settings = read_settings(fs, options.config);
    if (settings) {
      log.set_threshold(settings->log().level);
    } else {
      log.error("config.reload_failed", settings.error());
    }
    if (auto reloaded = controller.reload_policy(); !reloaded) {
      log.error("policy.reload_failed", reloaded.error());
    } else {
      log.info("controller.reloaded", {{"note", "other options take effect at the next start"}});
    }
    ::sd_notify(0, "READY=1");
  }
}

Task<void> feed_watchdog() {
  std::uint64_t microseconds = 0;
  const bool wanted = ::sd_watchdog_enabled(0, &microseconds) > 0;
  std::chrono::nanoseconds pause = std::chrono::hours{1};
  if (wanted) {
    pause = std::chrono::microseconds{microseconds / 3};
  }
  for (;;) {
    if (wanted) {
      ::sd_notify(0, "WATCHDOG=1");
    }
    co_await async::sleep_for(pause);
  }
}

int say(std::string_view what, const Result<BackupReport>& report) {
  if (!report) {
    std::fprintf(stderr, "skerry-controller: %s\n", report.error().to_string().c_str());
    return 1;
  }
  std::printf("%.*s: %zu files, %llu bytes, taken %s\n",
              static_cast<int>(what.size()),
              what.data(),
              report->files,
              static_cast<unsigned long long>(report->bytes),
              to_rfc3339(report->taken).c_str());
  return 0;
}

// backup, restore, verify-backup: no server is started.
int keep_copies(const Options& options) {
  ::umask(0077);
  SystemFileSystem fs;
  SystemClock clock;
  if (!options.verify.empty()) {
    return say("intact", check_backup(fs, options.verify));
  }
  const auto settings = read_settings(fs, options.config);
  if (!settings) {
    std::fprintf(stderr, "skerry-controller: %s\n", settings.error().message().c_str());
    return 2;
  }
  if (!options.backup_to.empty()) {
    return say("saved", make_backup(fs, clock, *settings, options.backup_to));
  }
  return say("restored", restore_backup(fs, *settings, options.restore_from));
}

int serve(const Options& options) {
  // Everything in the state directory is this user's alone.
  ::umask(0077);
  SystemFileSystem fs;
  SystemClock clock;
  SystemRandom random;
  const auto settings = read_settings(fs, options.config);
  if (!settings) {
    std::fprintf(stderr, "skerry-controller: %s\n", settings.error().message().c_str());
    return 2;
  }
  if (options.check) {
    std::printf("the configuration is valid\n");
    return 0;
  }
  const Log log = Log::to_stderr(settings->log().level, settings->log().journald);
  auto started = Controller::start(*settings, fs, clock, random, log);
  if (!started) {
    log.error("controller.start_failed", started.error());
    return 1;
  }
  Controller& controller = **started;
  if (controller.first_start()) {
    log.info("controller.first_start",
             {{"operator_certificate",
               (settings->state_directory() / "operator" / "operator.crt").string()}});
  }
  log.info("controller.ready",
           {{"listen", settings->server().listen}, {"port", controller.port()}});
  ::sd_notify(0, "READY=1");

  asio::io_context io{1};
  std::vector<Task<void>> tasks;
  tasks.push_back(controller.run());
  tasks.push_back(reload_on_hangup(io, controller, fs, options, log));
  tasks.push_back(feed_watchdog());
  tasks.push_back(wait_for_stop(io, log));
  std::exception_ptr failure;
  asio::co_spawn(io,
                 async::run_until_first_exit(std::move(tasks)),
                 [&failure](std::exception_ptr error) { failure = std::move(error); });
  io.run();
  ::sd_notify(0, "STOPPING=1");
  controller.stop();
  if (failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log.error("controller.failed", {{"what", error.what()}});
      return 1;
    }
  }
  log.info("controller.stopped");
  return 0;
}

}  // namespace
}  // namespace skerry::controller

int main(int argc, char** argv) {
  CLI::App app{"The Skerry fleet controller.", "skerry-controller"};
  skerry::controller::Options options;
  app.add_option("-c,--config", options.config, "TOML configuration file")
      ->check(CLI::ExistingFile);
  app.add_flag("--check-config", options.check, "check the configuration and exit");
  app.require_subcommand(0, 1);
  auto* backup = app.add_subcommand(
      "backup", "copy keys, database, blobs and logs; the controller may be running");
  backup->add_option("folder", options.backup_to, "where to; new or empty")->required();
  auto* restore = app.add_subcommand("restore", "put a backup into an empty state directory");
  restore->add_option("folder", options.restore_from, "the backup")->required();
  auto* verify = app.add_subcommand("verify-backup", "read a backup and compare every digest");
  verify->add_option("folder", options.verify, "the backup")->required();
  app.set_version_flag("--version", "skerry-controller 0.1.0");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return app.get_subcommands().empty() ? skerry::controller::serve(options)
                                       : skerry::controller::keep_copies(options);
}
