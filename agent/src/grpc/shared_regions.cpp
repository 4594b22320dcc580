#include "shared_regions.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <sys/stat.h>

namespace skerry::agent {
namespace {

constexpr std::size_t kMaxRegionName = 255;

Error bad_region(const std::string& name, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument,
               "shared memory region \"" + name + "\": " + std::string{problem}};
}

Error cut_short(const SharedRegions::Facts& facts) {
  return Error{Error::Code::kFailedPrecondition,
               "shared memory region \"" + facts.name + "\": the object \"" + facts.key +
                   "\" is shorter than it was registered; register it again"};
}

// "/frames" and "frames" are the same object, as for shm_open.
std::string_view object_name(std::string_view key) {
  if (key.starts_with('/')) {
    key.remove_prefix(1);
  }
  return key;
}

bool is_object_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxRegionName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

Result<void> check_facts(const SharedRegions::Facts& facts, std::uint64_t most) {
  if (facts.name.empty() || facts.name.size() > kMaxRegionName) {
    return bad_region(facts.name.substr(0, kMaxRegionName), "a name has 1 to 255 bytes");
  }
  if (!is_object_name(object_name(facts.key))) {
    return bad_region(facts.name, "the key must be the name of an object, such as \"/frames\"");
  }
  if (facts.bytes == 0 || facts.bytes > most) {
    return bad_region(facts.name, "byte_size must be 1 to " + std::to_string(most));
  }
  // Below what an off_t holds.
  if (facts.offset > (1ULL << 62U)) {
    return bad_region(facts.name, "offset is beyond every object");
  }
  return {};
}

// False: nothing more is there.
template <class Step>
Result<bool> repeat_io(std::size_t bytes, const char* what, Step step) {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n = step(done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno_error(errno, what);
    }
  }
  return true;
}

}  // namespace

Result<void> SharedRegions::Region::check(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > facts_.bytes || bytes > facts_.bytes - offset) {
    return bad_region(facts_.name,
                      std::to_string(bytes) + " bytes from " + std::to_string(offset) +
                          " do not lie in its " + std::to_string(facts_.bytes));
  }
  // Reading past the end gives nothing, but writing there would make the object grow.
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) {
    return errno_error(errno, "fstat of shared memory");
  }
  if (static_cast<std::uint64_t>(status.st_size) < facts_.offset + offset + bytes) {
    return cut_short(facts_);
  }
  return {};
}

Result<std::string> SharedRegions::Region::read(std::uint64_t offset, std::uint64_t bytes) const {
  if (Result<void> checked = check(offset, bytes); !checked) {
    return checked.error();
  }
  std::string data(static_cast<std::size_t>(bytes), '\0');
  const std::uint64_t from = facts_.offset + offset;
  const Result<bool> all = repeat_io(data.size(), "read of shared memory", [&](std::size_t done) {
    return ::pread(
        file_.get(), data.data() + done, data.size() - done, static_cast<off_t>(from + done));
  });
  if (!all) {
    return all.error();
  }
  if (!*all) {
    return cut_short(facts_);
  }
  return data;
}

Result<void> SharedRegions::Region::write(std::uint64_t offset, std::string_view data) const {
  if (Result<void> checked = check(offset, data.size()); !checked) {
    return checked.error();
  }
  const std::uint64_t from = facts_.offset + offset;
  const Result<bool> all = repeat_io(data.size(), "write of shared memory", [&](std::size_t done) {
    return ::pwrite(
        file_.get(), data.data() + done, data.size() - done, static_cast<off_t>(from + done));
  });
  if (!all) {
    return all.error();
  }
  if (!*all) {
    return cut_short(facts_);
  }
  return {};
}

Result<UniqueFd> SharedRegions::open(const security::Principal& principal,
                                     const Facts& facts) const {
  const std::filesystem::path path = folder_ / object_name(facts.key);
  // Links are not followed, a pipe is not waited for.
  UniqueFd file{::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  if (!file) {
    const int cause = errno;
    if (cause == ELOOP) {
      return Error{Error::Code::kPermissionDenied, path.string() + ": is a link"};
    }
    if (cause == EACCES || cause == EPERM) {
      return Error{Error::Code::kPermissionDenied,
                   path.string() +
                       ": the daemon's user may not read and write it; let it by the "
                       "object's mode or an ACL"};
    }
    return errno_error(cause, path.string());
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return errno_error(errno, path.string());
  }
  if (!S_ISREG(status.st_mode)) {
    return Error{Error::Code::kPermissionDenied, path.string() + ": is no regular file"};
  }
  // What the caller does not own it cannot lend, however the daemon's own rights are.
  if (status.st_uid != principal.uid) {
    return Error{Error::Code::kPermissionDenied,
                 path.string() + ": does not belong to the calling user"};
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (facts.offset > size || facts.bytes > size - facts.offset) {
    return bad_region(
        facts.name,
        "offset and byte_size end behind the object's " + std::to_string(size) + " bytes");
  }
  return file;
}

Result<void> SharedRegions::add(const security::Principal& principal, Facts facts) {
  if (principal.kind != security::Principal::Kind::kUid) {
    return Error{Error::Code::kPermissionDenied,
                 "shared memory is for local users of the Unix socket"};
  }
  if (Result<void> checked = check_facts(facts, limits_.bytes_of_one); !checked) {
    return checked.error();
  }
  const std::string owner = principal.to_string();
  const auto found = owners_.find(owner);
  if (found != owners_.end()) {
    const Owned& owned = found->second;
    if (owned.contains(facts.name)) {
      return Error{
          Error::Code::kAlreadyExists,
          "shared memory region \"" + facts.name + "\" is registered already; unregister it first"};
    }
    std::uint64_t bytes = 0;
    for (const auto& [name, region] : owned) {
      bytes += region->facts().bytes;
    }
    if (owned.size() >= limits_.regions_of_one || facts.bytes > limits_.bytes_of_one - bytes) {
      return Error{Error::Code::kResourceExhausted,
                   "shared memory: at most " + std::to_string(limits_.regions_of_one) +
                       " regions of together " + std::to_string(limits_.bytes_of_one) +
                       " bytes for one user; unregister one first"};
    }
  }
  if (count() >= limits_.regions) {
    return Error{
        Error::Code::kResourceExhausted,
        "shared memory: at most " + std::to_string(limits_.regions) + " regions on this gateway"};
  }
  Result<UniqueFd> file = open(principal, facts);
  if (!file) {
    return file.error();
  }
  std::string name = facts.name;
  owners_[owner].emplace(std::move(name),
                         std::make_shared<const Region>(*std::move(file), std::move(facts)));
  return {};
}

void SharedRegions::remove(const security::Principal& principal, const std::string& name) {
  const auto found = owners_.find(principal.to_string());
  if (found == owners_.end()) {
    return;
  }
  if (!name.empty()) {
    found->second.erase(name);
  }
  if (name.empty() || found->second.empty()) {
    owners_.erase(found);
  }
}

Result<std::vector<SharedRegions::Facts>> SharedRegions::list(const security::Principal& principal,
                                                              const std::string& name) const {
  std::vector<Facts> list;
  if (!name.empty()) {
    Result<RegionPtr> region = find(principal, name);
    if (!region) {
      return region.error();
    }
    list.push_back((*region)->facts());
    return list;
  }
  if (const auto found = owners_.find(principal.to_string()); found != owners_.end()) {
    for (const auto& [one, region] : found->second) {
      list.push_back(region->facts());
    }
  }
  return list;
}

Result<SharedRegions::RegionPtr> SharedRegions::find(const security::Principal& principal,
                                                     const std::string& name) const {
  if (const auto owner = owners_.find(principal.to_string()); owner != owners_.end()) {
    if (const auto region = owner->second.find(name); region != owner->second.end()) {
      return region->second;
    }
  }
  return Error{Error::Code::kNotFound,
               "shared memory region \"" + name + "\" is not registered by this user"};
}

std::size_t SharedRegions::count() const {
  std::size_t total = 0;
  for (const auto& [owner, owned] : owners_) {
    total += owned.size();
  }
  return total;
}

}  // namespace skerry::agent
