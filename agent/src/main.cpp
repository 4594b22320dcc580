// skerryd: the agent on every gateway. Reads its configuration and runs until told to stop.
#include <climits>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <malloc.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "skerry/agent/config.hpp"
#include "skerry/agent/daemon.hpp"

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
// Few arenas: the daemon's threads allocate little, and each arena costs memory for ever.
constexpr int kArenas = 2;

skerry::agent::Environment environment() {
  skerry::agent::Environment found;
  std::error_code ec;
  found.program_dir = std::filesystem::read_symlink("/proc/self/exe", ec).parent_path();
  std::string host(HOST_NAME_MAX + 1, '\0');
  if (::gethostname(host.data(), host.size()) == 0) {
    host.resize(host.find('\0'));
    found.host_name = std::move(host);
  }
  // journald sets it for services whose standard error it reads. No thread has begun yet.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  found.under_journald = std::getenv("JOURNAL_STREAM") != nullptr;
  return found;
}

int usage(std::ostream& out, int code) {
  out << "Usage: skerryd [--config FILE] [--check]\n"
         "\n"
         "  --config FILE  configuration (default /etc/skerry/skerryd.toml)\n"
         "  --check        read the configuration, say what is wrong with it, and exit\n"
         "  --version      print the version and exit\n"
         "\n"
         "Every option: /etc/skerry/skerryd.full.toml. SIGHUP reloads, SIGTERM stops gracefully.\n";
  return code;
}

int fail(const skerry::Error& error) {
  std::cerr << "skerryd: " << error.to_string() << '\n';
  return kExitFailure;
}

int run(const std::filesystem::path& file, bool check, skerry::BootTime began) {
  skerry::SystemFileSystem fs;
  const skerry::SystemClock clock;
  const skerry::agent::Environment env = environment();
  skerry::Result<skerry::agent::Config> config = skerry::agent::load_config(fs, file);
  if (!config) {
    return fail(config.error());
  }
  skerry::Result<skerry::agent::Settings> settings =
      skerry::agent::finalize(*std::move(config), env);
  if (!settings) {
    return fail(settings.error());
  }
  if (check) {
    std::cout << file.string() << ": fine\n";
    return 0;
  }
  const skerry::Log log = skerry::Log::to_stderr(settings->log_level(), settings->journald());
  skerry::Result<void> done =
      skerry::agent::run_daemon(file, *std::move(settings), env, clock, began, log);
  if (!done) {
    log.error("daemon.failed", done.error());
    return kExitFailure;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const skerry::BootTime began = skerry::SystemClock{}.boot_now();
  ::mallopt(M_ARENA_MAX, kArenas);  // NOLINT(concurrency-mt-unsafe): no thread has begun
  // A peer that closed its end is an error of that write, not the end of the daemon.
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(concurrency-mt-unsafe): no thread has begun
  std::filesystem::path config = "/etc/skerry/skerryd.toml";
  bool check = false;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) {
      config = arguments[++i];
    } else if (arguments[i] == "--check") {
      check = true;
    } else if (arguments[i] == "--version") {
      std::cout << "skerryd " << SKERRY_VERSION << '\n';
      return 0;
    } else if (arguments[i] == "--help" || arguments[i] == "-h") {
      return usage(std::cout, 0);
    } else {
      std::cerr << "skerryd: unknown argument \"" << arguments[i] << "\"\n";
      return usage(std::cerr, kExitUsage);
    }
  }
  return run(config, check, began);
}
