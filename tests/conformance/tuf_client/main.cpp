// The client under test of theupdateframework/tuf-conformance (its CLIENT-CLI.md): the product's
// own `security::tuf::Client` behind plain HTTP. Exit code 0 or 1, nothing else.
//
//   --metadata-dir D init TRUSTED_ROOT
//   --metadata-url U --metadata-dir D refresh
//   --metadata-url U --metadata-dir D --target-name T [--target-name T2 …] --target-dir TD
//       --target-base-url B download

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/security/tuf/client.hpp"

#include "http_get.hpp"
#include "target_download.hpp"

namespace skerry::conformance {
namespace {

namespace tuf = security::tuf;

struct Arguments {
  std::string metadata_dir;
  std::string metadata_url;
  std::string target_dir;
  std::string target_base_url;
  std::vector<std::string> target_names;
  std::vector<std::string> words;
};

Error usage(const std::string& why) {
  return Error{Error::Code::kInvalidArgument,
               why +
                   "; usage: tuf-client --metadata-dir D init ROOT | --metadata-url U "
                   "--metadata-dir D refresh | --metadata-url U --metadata-dir D --target-name T … "
                   "--target-dir TD --target-base-url B download"};
}

Result<Arguments> parse_arguments(const std::vector<std::string>& given) {
  Arguments out;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string& name = given[i];
    if (!name.starts_with("--")) {
      out.words.push_back(name);
      continue;
    }
    if (++i == given.size()) {
      return usage(name + " needs a value");
    }
    if (name == "--metadata-dir") {
      out.metadata_dir = given[i];
    } else if (name == "--metadata-url") {
      out.metadata_url = given[i];
    } else if (name == "--target-dir") {
      out.target_dir = given[i];
    } else if (name == "--target-base-url") {
      out.target_base_url = given[i];
    } else if (name == "--target-name") {
      out.target_names.push_back(given[i]);
    } else {
      return usage("unknown option " + name);
    }
  }
  if (out.words.empty() || out.metadata_dir.empty()) {
    return usage("a command and --metadata-dir are needed");
  }
  return out;
}

Result<void> run_init(FileSystem& fs, tuf::Client& client, const Arguments& arguments) {
  if (arguments.words.size() != 2) {
    return usage("init takes one trusted root");
  }
  auto root = read_file(fs, arguments.words[1], tuf::MetadataLimits::kRootBytes);
  if (!root) {
    return root.error();
  }
  return client.bootstrap(*root);
}

Result<void> run_refresh(tuf::Client& client) {
  // The suite sets the machine's clock (faketime): here it is vouched for.
  const security::TrustedTime time{SystemClock{}.wall_now(), security::TimeQuality::kSynchronised};
  const auto outcome = client.refresh(time);
  return outcome ? Result<void>{} : Result<void>{outcome.error()};
}

Result<void> run_download(FileSystem& fs, tuf::Client& client, const Arguments& arguments) {
  if (arguments.target_names.empty() || arguments.target_dir.empty() ||
      arguments.target_base_url.empty()) {
    return usage("download needs --target-name, --target-dir and --target-base-url");
  }
  if (auto refreshed = run_refresh(client); !refreshed) {
    return refreshed;
  }
  for (const std::string& path : arguments.target_names) {
    const auto found = client.lookup(path);
    if (!found) {
      return found.error();
    }
    if (auto done = download_target(fs,
                                    found->file,
                                    path,
                                    client.consistent_snapshot(),
                                    arguments.target_base_url,
                                    arguments.target_dir);
        !done) {
      return done;
    }
  }
  return {};
}

Result<void> run(const std::vector<std::string>& given) {
  const auto arguments = parse_arguments(given);
  if (!arguments) {
    return arguments.error();
  }
  SystemFileSystem fs;
  tuf::DirectoryMetadataStore store{fs, arguments->metadata_dir};
  HttpFetcher fetcher{arguments->metadata_url};
  tuf::Client client{store, fetcher};
  const std::string& command = arguments->words.front();
  if (command == "init") {
    return run_init(fs, client, *arguments);
  }
  if (arguments->metadata_url.empty() || arguments->words.size() != 1) {
    return usage(command + " needs --metadata-url and no further words");
  }
  if (command == "refresh") {
    return run_refresh(client);
  }
  if (command == "download") {
    return run_download(fs, client, *arguments);
  }
  return usage("unknown command " + command);
}

}  // namespace
}  // namespace skerry::conformance

int main(int argc, char** argv) {
  try {
    const auto done = skerry::conformance::run({argv + 1, argv + argc});
    if (!done) {
      std::fprintf(stderr, "tuf-client: %s\n", done.error().to_string().c_str());
    }
    return done ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tuf-client: %s\n", error.what());
    return 1;
  }
}
