#include "prefix_store.hpp"

#include <algorithm>
#include <utility>

#include "prefix_file.hpp"

namespace skerry::agent {
namespace {

constexpr std::string_view kSuffix = ".kv";
constexpr std::string_view kUnfinished = ".tmp";
constexpr std::uint32_t kFolderMode = 0700;
constexpr std::uint32_t kFileMode = 0600;
constexpr std::chrono::minutes kRest{10};
// Of the budget, in a day: on flash that bears 3000 writes, two years and more of nothing but this.
constexpr double kBudgetsPerDay = 4;

std::string file_name(const ShelvedState& state) {
  return Digest::of(state.model.raw() + state.names.back().raw() + state.format).hex() +
         std::string{kSuffix};
}

// The disk, not what is on it.
bool is_of_disk(const Error& error) {
  return error.code() == Error::Code::kIo || error.code() == Error::Code::kNoSpace ||
         error.code() == Error::Code::kPermissionDenied;
}

}  // namespace

PrefixStore::PrefixStore(FileSystem& fs, const Clock& clock, Log log, Options options)
    : fs_(fs),
      clock_(clock),
      log_(std::move(log)),
      options_(std::move(options)),
      index_(options_.budget),
      allowance_(static_cast<double>(options_.budget)),
      refilled_(clock.boot_now()) {}

void PrefixStore::remove_all(FileSystem& fs, const std::filesystem::path& folder) {
  const auto names = fs.list(folder);
  if (!names) {
    return;
  }
  for (const std::string& name : *names) {
    static_cast<void>(fs.remove(folder / name));
  }
}

void PrefixStore::open() {
  if (auto made = fs_.create_directories(options_.folder, kFolderMode); !made) {
    rest(made.error());
    return;
  }
  const auto names = fs_.list(options_.folder);
  if (!names) {
    rest(names.error());
    return;
  }
  PrefixIndex::Files doomed;
  std::uint64_t dropped = 0;
  for (const std::string& name : *names) {
    auto state = name.ends_with(kSuffix) ? read_head(name)
                                         : Result<ShelvedState>{Error{Error::Code::kParse, ""}};
    const std::lock_guard lock{mutex_};
    const auto room = state && file_name(*state) == name ? index_.reserve(*state) : std::nullopt;
    if (!room) {
      doomed.push_back(name);
      dropped += name.ends_with(kUnfinished) ? 0U : 1U;
      continue;
    }
    doomed.insert(doomed.end(), room->begin(), room->end());
    const auto covered = index_.commit(*std::move(state));
    doomed.insert(doomed.end(), covered.begin(), covered.end());
    dropped += room->size();
  }
  remove(doomed);
  const std::lock_guard lock{mutex_};
  counts_.dropped += dropped;
}

Result<ShelvedState> PrefixStore::read_head(const std::string& name) {
  auto file = fs_.open(options_.folder / name, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  auto state = read_prefix_head(**file, options_.key);
  if (state) {
    state->file = name;
  }
  return state;
}

void PrefixStore::save(const Digest& model,
                       const runtime::PrefixState& state,
                       const runtime::PrefixBytes& bytes) {
  if (state.names.empty() || state.names.size() > kMaxPrefixNames ||
      state.format.size() > kMaxPrefixFormat || bytes.size == 0) {
    return;
  }
  ShelvedState shelved;
  shelved.model = model;
  shelved.format = state.format;
  shelved.names = state.names;
  shelved.tokens = state.tokens;
  shelved.recompute = state.recompute;
  shelved.bytes = bytes.size;
  shelved.file_bytes = prefix_file_size(shelved);
  shelved.file = file_name(shelved);
  PrefixIndex::Files gone;
  {
    const std::lock_guard lock{mutex_};
    if (resting() || !may_write(shelved.file_bytes)) {
      return;
    }
    shelved.pinned = state.pinned && index_.may_pin(shelved.file_bytes);
    auto room = index_.reserve(shelved);
    if (!room) {
      return;
    }
    allowance_ -= static_cast<double>(shelved.file_bytes);
    gone = *std::move(room);
    counts_.dropped += gone.size();
  }
  remove(gone);
  const auto done = write(shelved, bytes.fd.get());
  if (!done) {
    {
      const std::lock_guard lock{mutex_};
      index_.abandon(shelved);
    }
    if (done.error().code() != Error::Code::kSizeMismatch) {
      rest(done.error());
    }
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    gone = index_.commit(std::move(shelved));
    ++counts_.saved;
  }
  remove(gone);
}

// To a name of its own first, so that a file under its last name was written to its end, as far as
// no power cut shows.
Result<void> PrefixStore::write(const ShelvedState& state, int bytes) {
  const auto free = fs_.free_space(options_.folder);
  if (!free) {
    return free.error();
  }
  if (*free < options_.reserve || *free - options_.reserve < state.file_bytes) {
    return Error{Error::Code::kNoSpace,
                 options_.folder.string() + ": the disk has no more than its reserve free"};
  }
  const auto unfinished = options_.folder / (std::to_string(++written_) + std::string{kUnfinished});
  const auto fill = [&]() -> Result<void> {
    auto file = fs_.open(unfinished, OpenMode::kCreateExclusive, kFileMode);
    if (!file) {
      return file.error();
    }
    return write_prefix(**file, options_.key, state, bytes);
  };
  auto done = fill();
  if (done) {
    done = fs_.rename(unfinished, options_.folder / state.file);
  }
  if (!done) {
    static_cast<void>(fs_.remove(unfinished));
  }
  return done;
}

std::optional<PrefixIndex::Match> PrefixStore::look(const Digest& model,
                                                    const std::string& format,
                                                    const std::vector<Digest>& names) {
  const std::lock_guard lock{mutex_};
  auto match = resting() ? std::nullopt : index_.find(model, format, names);
  counts_.misses += match ? 0U : 1U;
  return match;
}

std::optional<runtime::PrefixShelf::Found> PrefixStore::read(const PrefixIndex::Match& match) {
  const auto load = [&]() -> Result<UniqueFd> {
    auto file = fs_.open(options_.folder / match.state.file, OpenMode::kRead);
    return file ? read_prefix(**file, options_.key, match.state) : Result<UniqueFd>{file.error()};
  };
  auto fd = load();
  if (fd) {
    const std::lock_guard lock{mutex_};
    ++counts_.hits;
    return runtime::PrefixShelf::Found{.bytes = {.fd = *std::move(fd), .size = match.state.bytes},
                                       .tokens = match.state.tokens,
                                       .common = match.common};
  }
  bool was_there = false;
  {
    const std::lock_guard lock{mutex_};
    ++counts_.misses;
    was_there = fd.error().code() != Error::Code::kOutOfMemory && index_.remove(match.state.file);
    counts_.dropped += was_there ? 1U : 0U;
  }
  if (was_there) {
    log_.warning("prefix_cache.unreadable", fd.error());
    remove({match.state.file});
  }
  if (is_of_disk(fd.error())) {
    rest(fd.error());
  }
  return std::nullopt;
}

void PrefixStore::drop(const Digest& model, const Digest& name) {
  PrefixIndex::Files gone;
  {
    const std::lock_guard lock{mutex_};
    gone = index_.remove_named(model, name);
    counts_.dropped += gone.size();
  }
  remove(gone);
}

void PrefixStore::hold(const Digest& model, const Digest& name) {
  const std::lock_guard lock{mutex_};
  index_.hold(model, name);
}

void PrefixStore::retain(const std::function<bool(const Digest&)>& is_there) {
  std::vector<Digest> models;
  {
    const std::lock_guard lock{mutex_};
    models = index_.models();
  }
  // Asking may wait for a disk.
  std::erase_if(models, is_there);
  if (models.empty()) {
    return;
  }
  PrefixIndex::Files gone;
  {
    const std::lock_guard lock{mutex_};
    gone = index_.retain([&](const Digest& model) {
      return std::find(models.begin(), models.end(), model) == models.end();
    });
    counts_.dropped += gone.size();
  }
  remove(gone);
}

void PrefixStore::remove(const PrefixIndex::Files& files) {
  for (const std::string& name : files) {
    const auto done = fs_.remove(options_.folder / name);
    if (!done && done.error().code() != Error::Code::kNotFound) {
      rest(done.error());
    }
  }
}

bool PrefixStore::may_write(std::uint64_t bytes) {
  const BootTime now = clock_.boot_now();
  const double days = std::chrono::duration<double>(now - refilled_) /
                      std::chrono::duration<double>(std::chrono::hours{24});
  const auto budget = static_cast<double>(options_.budget);
  allowance_ = std::min(budget, allowance_ + days * kBudgetsPerDay * budget);
  refilled_ = now;
  return static_cast<double>(bytes) <= allowance_;
}

bool PrefixStore::resting() const {
  return rests_until_ && clock_.boot_now() < *rests_until_;
}

void PrefixStore::rest(const Error& why) {
  {
    const std::lock_guard lock{mutex_};
    if (resting()) {
      return;
    }
    rests_until_ = clock_.boot_now() + kRest;
  }
  log_.warning("prefix_cache.disk_rests", {{"error", why.to_string()}, {"minutes", kRest.count()}});
}

PrefixStore::Counts PrefixStore::counts() const {
  const std::lock_guard lock{mutex_};
  Counts counts = counts_;
  counts.bytes = index_.bytes();
  counts.states = index_.size();
  counts.pinned = index_.pinned().states;
  counts.budget = options_.budget;
  counts.resting = resting();
  return counts;
}

}  // namespace skerry::agent
