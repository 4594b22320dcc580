// skerry delta create|apply|inspect: what turns one model file into another. Devices use deltas by
// themselves; these commands show what one is worth, and carry an update by hand.

#include "skerry/registry/delta.hpp"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/registry/chunk_index.hpp"

#include "commands.hpp"
#include "invocation.hpp"

namespace skerry::cli {
namespace {

unsigned delta_threads(std::uint32_t wanted) {
  return wanted != 0 ? wanted : std::max(1U, std::thread::hardware_concurrency());
}

Json summary_json(const registry::DeltaSummary& summary) {
  return Json::Object{{"base", summary.header.base.to_string()},
                      {"base_bytes", summary.header.base_size},
                      {"target", summary.header.target.to_string()},
                      {"target_bytes", summary.header.target_size},
                      {"delta_bytes", summary.delta_bytes},
                      {"segments", summary.segments},
                      {"copied_bytes", summary.copied_bytes},
                      {"predicted_bytes", summary.predicted_bytes},
                      {"packed_bytes", summary.packed_bytes},
                      {"stored_bytes", summary.stored_bytes}};
}

void print_summary(Invocation& invocation, const registry::DeltaSummary& summary) {
  if (invocation.json) {
    invocation.console.print_json(summary_json(summary));
    return;
  }
  const auto line = [&](const char* name, const std::string& value) {
    invocation.console.line(fmt::format("{:<10}{}", name, value));
  };
  line("base",
       fmt::format(
           "{} ({})", summary.header.base.to_string(), human_bytes(summary.header.base_size)));
  line("target",
       fmt::format(
           "{} ({})", summary.header.target.to_string(), human_bytes(summary.header.target_size)));
  line("delta",
       fmt::format("{} bytes, {:.4f} of the target, {} segments",
                   summary.delta_bytes,
                   static_cast<double>(summary.delta_bytes) /
                       static_cast<double>(std::max<std::uint64_t>(1, summary.header.target_size)),
                   summary.segments));
  line("copied", human_bytes(summary.copied_bytes));
  line("predicted", human_bytes(summary.predicted_bytes));
  line("packed", human_bytes(summary.packed_bytes));
  line("stored", human_bytes(summary.stored_bytes));
}

struct CreateOptions {
  std::string base;
  std::string target;
  std::string output;
  std::uint32_t threads = 0;
};

struct HashedInput {
  std::unique_ptr<File> file;
  Digest digest;
  std::uint64_t size = 0;
};

Result<HashedInput> open_hashed(Invocation& invocation, const std::string& path) {
  auto file = invocation.fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error().with_context(path);
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error().with_context(path);
  }
  const auto hashed = registry::hash_file(invocation.fs, path);
  if (!hashed) {
    return hashed.error().with_context(path);
  }
  return HashedInput{std::move(*file), hashed->digest, status->size};
}

// Removes what a command that failed leaves behind.
template <class T>
Result<T> or_remove(Invocation& invocation, const std::string& path, Result<T> result) {
  if (!result) {
    // The first failure is the one to report.
    static_cast<void>(invocation.fs.remove(path).has_value());
  }
  return result;
}

Result<int> run_delta_create(Invocation& invocation, const CreateOptions& options) {
  auto base = open_hashed(invocation, options.base);
  if (!base) {
    return base.error();
  }
  auto target = open_hashed(invocation, options.target);
  if (!target) {
    return target.error();
  }
  auto out = invocation.fs.open(options.output, OpenMode::kCreateExclusive);
  if (!out) {
    return out.error().with_context(options.output);
  }
  auto made =
      or_remove(invocation,
                options.output,
                registry::make_delta(*base->file,
                                     *target->file,
                                     {base->digest, base->size, target->digest, target->size},
                                     **out,
                                     {.threads = delta_threads(options.threads)}));
  if (!made) {
    return made.error();
  }
  if (auto ok = (*out)->sync(); !ok) {
    return ok.error().with_context(options.output);
  }
  print_summary(invocation, *made);
  return kExitDone;
}

struct ApplyOptions {
  std::string base;
  std::string delta;
  std::string output;
  std::uint32_t threads = 0;
};

// Writes and hashes what comes.
class HashingFileSink final : public registry::ByteSink {
 public:
  explicit HashingFileSink(File& out) : out_(out) {}
  Result<void> write(ByteView bytes) override {
    hash_.update(bytes);
    auto ok = out_.write_at(at_, bytes);
    at_ += bytes.size();
    return ok;
  }
  Digest finish() { return hash_.finish(); }

 private:
  File& out_;
  Sha256 hash_;
  std::uint64_t at_ = 0;
};

Result<void> apply_to(File& delta, File& base, File& out, unsigned threads) {
  const auto reader = registry::DeltaReader::open(delta, base);
  if (!reader) {
    return reader.error();
  }
  const auto& header = (*reader)->summary().header;
  HashingFileSink sink{out};
  const registry::CancelFlag never;
  if (auto ok = (*reader)->read(0, header.target_size, sink, never, threads); !ok) {
    return ok;
  }
  if (sink.finish() != header.target) {
    return Error{Error::Code::kDigestMismatch,
                 "what came out is not " + header.target.to_string() + "; is this the base " +
                     header.base.to_string() + "?"};
  }
  return out.sync();
}

Result<int> run_delta_apply(Invocation& invocation, const ApplyOptions& options) {
  auto base = invocation.fs.open(options.base, OpenMode::kRead);
  if (!base) {
    return base.error().with_context(options.base);
  }
  auto delta = invocation.fs.open(options.delta, OpenMode::kRead);
  if (!delta) {
    return delta.error().with_context(options.delta);
  }
  auto out = invocation.fs.open(options.output, OpenMode::kCreateExclusive);
  if (!out) {
    return out.error().with_context(options.output);
  }
  const auto applied = or_remove(
      invocation, options.output, apply_to(**delta, **base, **out, delta_threads(options.threads)));
  if (!applied) {
    return applied.error();
  }
  return kExitDone;
}

struct InspectOptions {
  std::string delta;
};

Result<int> run_delta_inspect(Invocation& invocation, const InspectOptions& options) {
  auto delta = invocation.fs.open(options.delta, OpenMode::kRead);
  if (!delta) {
    return delta.error().with_context(options.delta);
  }
  const auto summary = registry::inspect_delta(**delta);
  if (!summary) {
    return summary.error();
  }
  print_summary(invocation, *summary);
  return kExitDone;
}

}  // namespace

void add_delta_command(Command& app, Invocation& invocation) {
  Command* delta = app.add_subcommand("delta", "what turns one model file into another");
  delta->require_subcommand(1);

  Command* create = delta->add_subcommand("create", "write the delta from BASE to TARGET");
  const auto creating = add_action<CreateOptions>(create, invocation, run_delta_create);
  create->add_option("base", creating->base, "the file that a device holds")->required();
  create->add_option("target", creating->target, "the file that it shall hold")->required();
  create->add_option("-o,--output", creating->output, "a new file")->required();
  create->add_option("--threads", creating->threads, "0: one per core");

  Command* apply = delta->add_subcommand("apply", "make the target from BASE and DELTA");
  const auto applying = add_action<ApplyOptions>(apply, invocation, run_delta_apply);
  apply->add_option("base", applying->base, "the file the delta was made from")->required();
  apply->add_option("delta", applying->delta, "")->required();
  apply->add_option("-o,--output", applying->output, "a new file")->required();
  apply->add_option("--threads", applying->threads, "0: one per core");

  Command* inspect = delta->add_subcommand("inspect", "what a delta is made from and how");
  const auto inspecting = add_action<InspectOptions>(inspect, invocation, run_delta_inspect);
  inspect->add_option("delta", inspecting->delta, "")->required();
}

}  // namespace skerry::cli
