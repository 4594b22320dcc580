// skerry-bench-transfer: one blob from a controller to a device's store, over mTLS, verified and
// durable, by the code that the agent uses; beside it the same file from nginx by curl, over mTLS,
// then synced, then hashed. Both in turn, several times; prints the medians and their ratios, and
// what our transfer put on the loopback, all headers and acknowledgements included.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "skerry/common/random.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/fetcher.hpp"

#include "controller_channel.hpp"
#include "fleet_sim.hpp"
#include "processes.hpp"

namespace skerry::bench {
namespace {

struct Options {
  std::uint64_t megabytes = 512;
  int runs = 5;
  std::string folder;
  int port = 18'843;
};

struct Folder {
  std::filesystem::path path;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

// Not compressible and different in every chunk.
Result<std::string> make_content(std::uint64_t bytes) {
  FakeRandom random{42};
  std::string content(bytes, '\0');
  random.fill({reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  return content;
}

std::string controller_config(const std::filesystem::path& folder, int port) {
  return "[state]\ndirectory = \"" + (folder / "state").string() +
         "\"\n[server]\nlisten = \"127.0.0.1:" + std::to_string(port) +
         "\"\n[log]\nlevel = \"warning\"\n";
}

std::string nginx_config(const std::filesystem::path& folder, int port) {
  const auto state = folder / "state";
  const std::string at = folder.string();
  return "daemon off; worker_processes 1; pid " + at + "/nginx.pid; error_log " + at +
         "/nginx.log;\nevents { worker_connections 64; }\nhttp {\n  access_log off; sendfile "
         "on;\n" +
         "  client_body_temp_path " + at + "; proxy_temp_path " + at + "; fastcgi_temp_path " + at +
         "; uwsgi_temp_path " + at + "; scgi_temp_path " + at +
         ";\n  server {\n    listen 127.0.0.1:" + std::to_string(port) +
         " ssl;\n    ssl_certificate " + (state / "certificates/server.crt").string() +
         ";\n    ssl_certificate_key " + (state / "keys/server.pem").string() +
         ";\n    ssl_client_certificate " + (state / "certificates/ca.crt").string() +
         ";\n    ssl_verify_client on;\n    root " + at + "/www;\n  }\n}\n";
}

// Bytes that the loopback has carried in this network namespace, both directions of every
// connection; 0 where the kernel does not say.
std::uint64_t loopback_bytes() {
  std::ifstream table{"/proc/net/dev"};
  for (std::string word; table >> word;) {
    if (word == "lo:") {
      std::uint64_t bytes = 0;
      table >> bytes;
      return bytes;
    }
  }
  return 0;
}

struct Fetched {
  double seconds = 0;
  std::uint64_t wire_bytes = 0;  // others' traffic on the loopback counts too
};

Result<Fetched> fetch_once(const std::filesystem::path& root,
                           sim::SimDevice& device,
                           const registry::WantedBlob& wanted) {
  SystemFileSystem fs;
  SystemClock clock;
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root);
  const auto catalogue = registry::Catalogue::open(root / "registry.db", clock);
  if (!catalogue) {
    return catalogue.error();
  }
  const auto store = registry::BlobStore::open(fs, **catalogue, clock, root);
  if (!store) {
    return store.error();
  }
  agent::sync::ControllerSource source{device.channel()};
  registry::Fetcher fetcher{
      **store,
      {&source.blobs()},
      clock,
      [](std::chrono::nanoseconds pause) { std::this_thread::sleep_for(pause); },
      Log{}};
  const registry::CancelFlag never;
  const std::vector<registry::WantedBlob> all{wanted};
  const std::uint64_t wire = loopback_bytes();
  const auto start = std::chrono::steady_clock::now();
  const auto fetched = fetcher.fetch(all, never);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!fetched) {
    return fetched.error();
  }
  return Fetched{took.count(), loopback_bytes() - wire};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Times {
  std::vector<double> skerry;
  std::vector<double> curl;
  std::vector<double> curl_verified;
  // Of the run with the least of others' traffic.
  std::uint64_t wire_bytes = UINT64_MAX;
};

Result<void> measure(const Options& options,
                     const std::filesystem::path& folder,
                     sim::SimDevice& device,
                     const registry::WantedBlob& wanted,
                     Times& times) {
  const auto bundle = folder / "state" / "operator";
  const std::string out = (folder / "download").string();
  const std::string curl = "rm -f " + out + "; curl -sf --cacert " + (bundle / "ca.crt").string() +
                           " --cert " + (bundle / "operator.crt").string() + " --key " +
                           (bundle / "operator.key").string() +
                           " https://127.0.0.1:" + std::to_string(options.port + 1) + "/blob -o " +
                           out + " && sync " + out;
  for (int run = 0; run <= options.runs; ++run) {
    const auto ours = fetch_once(folder / "device", device, wanted);
    const auto plain = time_shell(curl);
    const auto verified = time_shell(curl + " && openssl dgst -sha256 " + out);
    if (!ours) {
      return ours.error();
    }
    for (const auto* result : {&plain, &verified}) {
      if (!*result) {
        return result->error();
      }
    }
    if (run == 0) {
      continue;  // warms the page cache and the connection
    }
    times.skerry.push_back(ours->seconds);
    times.wire_bytes = std::min(times.wire_bytes, ours->wire_bytes);
    times.curl.push_back(*plain);
    times.curl_verified.push_back(*verified);
  }
  return {};
}

Result<void> run(const Options& options, const std::filesystem::path& programs) {
  const Folder folder{std::filesystem::path{options.folder} /
                      ("skerry-bench-transfer-" + std::to_string(::getpid()))};
  std::filesystem::create_directories(folder.path / "www");
  const auto content = make_content(options.megabytes << 20U);
  if (!content) {
    return content.error();
  }
  std::ofstream(folder.path / "www" / "blob", std::ios::binary) << *content;
  std::ofstream(folder.path / "controller.toml") << controller_config(folder.path, options.port);
  std::ofstream(folder.path / "nginx.conf") << nginx_config(folder.path, options.port + 1);

  const auto controller = Child::start({(programs / "skerry-controller").string(),
                                        "--config",
                                        (folder.path / "controller.toml").string()},
                                       (folder.path / "controller.log").string());
  if (!controller) {
    return controller.error();
  }
  if (auto up = wait_for_port(options.port, std::chrono::seconds{20}); !up) {
    return up.error().with_context("skerry-controller");
  }
  const auto nginx =
      Child::start({"nginx", "-c", (folder.path / "nginx.conf").string(), "-e", "stderr"},
                   (folder.path / "nginx.log").string());
  if (!nginx) {
    return nginx.error();
  }
  if (auto up = wait_for_port(options.port + 1, std::chrono::seconds{20}); !up) {
    return up.error().with_context("nginx");
  }

  SystemFileSystem fs;
  const auto hashed = registry::hash_file(fs, folder.path / "www" / "blob");
  if (!hashed) {
    return hashed.error();
  }
  const std::string address = "127.0.0.1:" + std::to_string(options.port);
  sim::SimOperator fleet_operator{address, folder.path / "state" / "operator"};
  const auto index = hashed->index.serialise();
  for (const auto& [digest, bytes] :
       {std::pair<Digest, std::string>{hashed->digest, *content},
        std::pair<Digest, std::string>{hashed->index.digest(), std::string{as_text(index)}}}) {
    if (auto pushed = fleet_operator.push_blob(digest.raw(), bytes); !pushed) {
      return pushed.error();
    }
  }
  const auto token = fleet_operator.token();
  if (!token) {
    return token.error();
  }
  const auto device = sim::SimDevice::enrol(address, fleet_operator.ca_pem(), *token);
  if (!device) {
    return device.error();
  }
  const registry::WantedBlob wanted{
      hashed->digest, hashed->index.size(), hashed->index.chunk_size(), hashed->index.digest()};
  Times times;
  if (auto measured = measure(options, folder.path, **device, wanted, times); !measured) {
    return measured;
  }
  const double gigabytes = static_cast<double>(options.megabytes) * 1.048576 / 1000.0;
  const double ours = median(times.skerry);
  const double plain = median(times.curl);
  const double verified = median(times.curl_verified);
  std::printf("%llu MiB over mTLS on loopback, median of %d runs in turn\n",
              static_cast<unsigned long long>(options.megabytes),
              options.runs);
  std::printf(
      "  skerry, verified and durable           %6.2f s  %5.2f GB/s\n", ours, gigabytes / ours);
  std::printf("  curl from nginx + sync                 %6.2f s  %5.2f GB/s   ratio %.2f\n",
              plain,
              gigabytes / plain,
              plain / ours);
  std::printf("  curl from nginx + sync + openssl dgst  %6.2f s  %5.2f GB/s   ratio %.2f\n",
              verified,
              gigabytes / verified,
              verified / ours);
  const auto payload = static_cast<double>(options.megabytes << 20U);
  std::printf("  on the wire, both directions           %.4f x the payload (goal 1.01)\n",
              static_cast<double>(times.wire_bytes) / payload);
  return {};
}

}  // namespace
}  // namespace skerry::bench

int main(int argc, char** argv) {
  CLI::App app{"Blob transfer against curl from nginx.", "skerry-bench-transfer"};
  skerry::bench::Options options;
  options.folder = std::filesystem::temp_directory_path().string();
  app.add_option("--megabytes", options.megabytes, "size of the blob in MiB")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--runs", options.runs, "measured runs")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_option("--folder", options.folder, "where to work (about four times the size)")
      ->capture_default_str()
      ->check(CLI::ExistingDirectory);
  app.add_option("--port", options.port, "two ports from here on are used")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto programs = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  if (auto done = skerry::bench::run(options, programs); !done) {
    std::fprintf(stderr, "skerry-bench-transfer: %s\n", done.error().message().c_str());
    return 1;
  }
  return 0;
}
