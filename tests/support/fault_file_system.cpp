#include "fault_file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

namespace skerry::test {

namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void spill(const std::filesystem::path& path, const std::string& content, std::uint32_t mode) {
  using std::filesystem::perms;
  std::error_code ec;
  const auto before = std::filesystem::status(path, ec);
  const bool existed = std::filesystem::exists(before);
  if (existed) {
    std::filesystem::permissions(path, perms::owner_write, std::filesystem::perm_options::add, ec);
  }
  {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  std::filesystem::permissions(path, existed ? before.permissions() : perms{mode}, ec);
}

}  // namespace

class FaultFile final : public File {
 public:
  FaultFile(FaultFileSystem& owner,
            std::unique_ptr<File> file,
            std::shared_ptr<FaultFileSystem::Node> node,
            std::filesystem::path path)
      : owner_(owner),
        file_(std::move(file)),
        node_(std::move(node)),
        path_(std::move(path)),
        generation_(owner.generation_) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    const std::lock_guard lock{owner_.mutex_};
    if (auto alive = check_alive(); !alive) {
      return alive.error();
    }
    return file_->read_at(offset, out);
  }

  Result<void> write_at(std::uint64_t offset, ByteView data) override {
    const std::lock_guard lock{owner_.mutex_};
    if (auto alive = check_alive(); !alive) {
      return alive;
    }
    if (const auto fault = owner_.next_fault()) {
      if (*fault == Fault::kNoSpace || *fault == Fault::kQuota || *fault == Fault::kShortWrite) {
        if (auto half = file_->write_at(offset, data.first(data.size() / 2)); !half) {
          return half;
        }
      }
      return owner_.refuse(*fault, path_);
    }
    return file_->write_at(offset, data);
  }

  Result<void> allocate(std::uint64_t size) override {
    return change([&] { return file_->allocate(size); });
  }

  Result<void> truncate(std::uint64_t size) override {
    return change([&] { return file_->truncate(size); });
  }

  Result<void> sync() override {
    return change([&]() -> Result<void> {
      // Durability is modelled here, so the real disk need not be waited for.
      auto status = file_->status();
      if (!status) {
        return status.error();
      }
      std::string content(status->size, '\0');
      auto read = file_->read_at(
          0, std::span{reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
      if (!read) {
        return read.error();
      }
      node_->synced = std::move(content);
      return {};
    });
  }

  Result<void> set_mode(std::uint32_t mode) override {
    return change([&]() -> Result<void> {
      node_->mode = mode;
      return file_->set_mode(mode);
    });
  }

  [[nodiscard]] Result<FileStatus> status() const override {
    const std::lock_guard lock{owner_.mutex_};
    if (auto alive = check_alive(); !alive) {
      return alive.error();
    }
    return file_->status();
  }

  [[nodiscard]] int fd() const override { return file_->fd(); }

 private:
  [[nodiscard]] Result<void> check_alive() const {
    if (generation_ != owner_.generation_) {
      return Error{Error::Code::kIo, path_.string() + ": opened before the restart"};
    }
    return {};
  }

  template <class Action>
  Result<void> change(Action action) {
    const std::lock_guard lock{owner_.mutex_};
    if (auto alive = check_alive(); !alive) {
      return alive;
    }
    if (const auto fault = owner_.next_fault()) {
      return owner_.refuse(*fault, path_);
    }
    return action();
  }

  FaultFileSystem& owner_;
  std::unique_ptr<File> file_;
  std::shared_ptr<FaultFileSystem::Node> node_;
  std::filesystem::path path_;
  std::uint64_t generation_;
};

FaultFileSystem::FaultFileSystem(std::filesystem::path root) : root_(std::move(root)) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    if (entry.is_regular_file()) {
      auto node = std::make_shared<Node>();
      node->synced = slurp(entry.path());
      current_.emplace(key(entry.path()), std::move(node));
    }
  }
  durable_ = current_;
}

FaultFileSystem::~FaultFileSystem() = default;

void FaultFileSystem::fail_at(std::uint64_t k, Fault fault, bool until_cleared) {
  const std::lock_guard lock{mutex_};
  fail_at_ = operations_ + k;
  fault_ = fault;
  until_cleared_ = until_cleared;
  fired_ = false;
}

void FaultFileSystem::clear() {
  const std::lock_guard lock{mutex_};
  fail_at_.reset();
  power_cut_ = false;
}

bool FaultFileSystem::fired() const {
  const std::lock_guard lock{mutex_};
  return fired_;
}

std::uint64_t FaultFileSystem::operations() const {
  const std::lock_guard lock{mutex_};
  return operations_;
}

void FaultFileSystem::restart(Loss loss) {
  const std::lock_guard lock{mutex_};
  if (loss == Loss::kUnsynced) {
    current_ = durable_;
  }
  for (const auto& [name, node] : current_) {
    if (loss == Loss::kNothing) {
      node->synced = slurp(name);
      continue;
    }
    if (loss == Loss::kTorn) {
      const std::string written = slurp(name);
      if (written.starts_with(node->synced)) {
        const std::size_t appended = written.size() - node->synced.size();
        node->synced = written.substr(0, node->synced.size() + (appended + 1) / 2);
      }
    }
    spill(name, node->synced, node->mode);
  }
  std::vector<std::filesystem::path> gone;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    if (entry.is_regular_file() && !current_.contains(key(entry.path()))) {
      gone.push_back(entry.path());
    }
  }
  if (loss == Loss::kUnsynced) {
    for (const auto& path : gone) {
      std::filesystem::remove(path);
    }
  }
  durable_ = current_;
  ++generation_;
  fail_at_.reset();
  power_cut_ = false;
}

Result<std::unique_ptr<File>> FaultFileSystem::open(const std::filesystem::path& path,
                                                    OpenMode mode,
                                                    std::uint32_t mode_bits) {
  const std::lock_guard lock{mutex_};
  const bool existed = system_.exists(path);
  const bool creates =
      (mode == OpenMode::kCreate || mode == OpenMode::kCreateExclusive) && !existed;
  if (creates) {
    if (const auto fault = next_fault()) {
      return refuse(*fault, path).error();
    }
  } else if (power_cut_) {
    return refuse(Fault::kPowerCut, path).error();
  }
  auto file = system_.open(path, mode, mode_bits);
  if (!file) {
    return std::move(file).error();
  }
  auto& node = current_[key(path)];
  if (node == nullptr || creates) {
    node = std::make_shared<Node>();
    node->mode = mode_bits;
    if (existed) {
      // Made by someone else (SQLite, the test itself): durable as it stands.
      node->synced = slurp(path);
      durable_[key(path)] = node;
    }
  }
  return std::unique_ptr<File>{std::make_unique<FaultFile>(*this, std::move(*file), node, path)};
}

Result<FileStatus> FaultFileSystem::status(const std::filesystem::path& path) const {
  const std::lock_guard lock{mutex_};
  return system_.status(path);
}

Result<void> FaultFileSystem::create_directories(const std::filesystem::path& path,
                                                 std::uint32_t mode_bits) {
  const std::lock_guard lock{mutex_};
  if (const auto fault = next_fault()) {
    return refuse(*fault, path);
  }
  return system_.create_directories(path, mode_bits);
}

Result<void> FaultFileSystem::rename(const std::filesystem::path& from,
                                     const std::filesystem::path& to,
                                     bool no_replace) {
  const std::lock_guard lock{mutex_};
  if (const auto fault = next_fault()) {
    return refuse(*fault, from);
  }
  if (auto renamed = system_.rename(from, to, no_replace); !renamed) {
    return renamed;
  }
  if (const auto it = current_.find(key(from)); it != current_.end()) {
    current_[key(to)] = it->second;
    current_.erase(key(from));
  }
  return {};
}

Result<void> FaultFileSystem::remove(const std::filesystem::path& path) {
  const std::lock_guard lock{mutex_};
  if (const auto fault = next_fault()) {
    return refuse(*fault, path);
  }
  if (auto removed = system_.remove(path); !removed) {
    return removed;
  }
  current_.erase(key(path));
  return {};
}

Result<void> FaultFileSystem::sync_directory(const std::filesystem::path& directory) {
  const std::lock_guard lock{mutex_};
  if (const auto fault = next_fault()) {
    return refuse(*fault, directory);
  }
  if (auto there = system_.status(directory); !there) {
    return there.error();
  }
  const auto inside = [&](const std::string& name) {
    return std::filesystem::path{name}.parent_path() == std::filesystem::path{key(directory)};
  };
  std::erase_if(durable_, [&](const auto& entry) {
    return inside(entry.first) && !current_.contains(entry.first);
  });
  for (const auto& [name, node] : current_) {
    if (inside(name)) {
      durable_[name] = node;
    }
  }
  return {};
}

Result<std::vector<std::string>> FaultFileSystem::list(
    const std::filesystem::path& directory) const {
  const std::lock_guard lock{mutex_};
  return system_.list(directory);
}

Result<std::uint64_t> FaultFileSystem::free_space(const std::filesystem::path& path) const {
  return system_.free_space(path);
}

std::optional<Fault> FaultFileSystem::count_operation() {
  const std::lock_guard lock{mutex_};
  return next_fault();
}

std::optional<Fault> FaultFileSystem::next_fault() {
  if (power_cut_) {
    return Fault::kPowerCut;
  }
  const std::uint64_t number = operations_++;
  if (!fail_at_ || number < *fail_at_ || (number > *fail_at_ && !until_cleared_)) {
    return std::nullopt;
  }
  fired_ = true;
  power_cut_ = fault_ == Fault::kPowerCut;
  return fault_;
}

Result<void> FaultFileSystem::refuse(Fault fault, const std::filesystem::path& path) const {
  switch (fault) {
    case Fault::kQuota:
      return errno_error(EDQUOT, path.string() + " (injected)");
    case Fault::kNoSpace:
      return Error{Error::Code::kNoSpace, path.string() + ": no space left (injected)"};
    case Fault::kPowerCut:
      return Error{Error::Code::kIo, path.string() + ": the power was cut (injected)"};
    case Fault::kIoError:
    case Fault::kShortWrite:
      break;
  }
  return Error{Error::Code::kIo, path.string() + ": input/output error (injected)"};
}

std::string FaultFileSystem::key(const std::filesystem::path& path) const {
  const auto normal = path.lexically_normal();
  return normal.has_filename() ? normal.string() : normal.parent_path().string();
}

}  // namespace skerry::test
