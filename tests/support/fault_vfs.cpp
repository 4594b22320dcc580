#include "fault_vfs.hpp"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <sqlite3.h>

namespace skerry::test {

struct FaultVfs::Impl {
  std::string name;
  sqlite3_vfs vfs{};
  sqlite3_vfs* real = nullptr;

  std::mutex mutex;
  std::uint64_t calls = 0;
  std::optional<std::uint64_t> fail_at;
  VfsFault fault = VfsFault::kIoError;
  bool until_cleared = false;
  bool fired = false;
  std::function<VfsFault()> source;
  // By path: the bytes at the last sync.
  std::map<std::string, std::string> synced;

  // SQLITE_OK, or what the next changing call fails with; `half` is set if a write is to leave its
  // first half.
  int next(int io_error, bool* half = nullptr) {
    const std::lock_guard lock{mutex};
    if (source) {
      const auto met = source();
      if (half != nullptr) {
        *half = met == VfsFault::kShortWrite || met == VfsFault::kDiskFull;
      }
      return met == VfsFault::kNone       ? SQLITE_OK
             : met == VfsFault::kDiskFull ? SQLITE_FULL
                                          : io_error;
    }
    const auto call = calls++;
    if (!fail_at || call < *fail_at || (call > *fail_at && !until_cleared)) {
      return SQLITE_OK;
    }
    fired = true;
    return fault == VfsFault::kDiskFull ? SQLITE_FULL : io_error;
  }
};

namespace {

struct FaultFile {
  sqlite3_file base;
  FaultVfs::Impl* owner;
  sqlite3_file* real;  // directly behind this struct
  const char* path;    // SQLite keeps it as long as the file is open; null for temporary files
};

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

FaultFile* as_fault(sqlite3_file* file) {
  return reinterpret_cast<FaultFile*>(file);
}

sqlite3_file* real_of(sqlite3_file* file) {
  return as_fault(file)->real;
}

FaultVfs::Impl* impl_of(sqlite3_vfs* vfs) {
  return static_cast<FaultVfs::Impl*>(vfs->pAppData);
}

int file_close(sqlite3_file* file) {
  return real_of(file)->pMethods->xClose(real_of(file));
}
int file_read(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
  return real_of(file)->pMethods->xRead(real_of(file), out, count, offset);
}
int file_write(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
  bool half = false;
  if (const int error = as_fault(file)->owner->next(SQLITE_IOERR_WRITE, &half);
      error != SQLITE_OK) {
    if (half) {
      (void)real_of(file)->pMethods->xWrite(real_of(file), data, count / 2, offset);
    }
    return error;
  }
  return real_of(file)->pMethods->xWrite(real_of(file), data, count, offset);
}
int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (const int error = as_fault(file)->owner->next(SQLITE_IOERR_TRUNCATE); error != SQLITE_OK) {
    return error;
  }
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}
int file_sync(sqlite3_file* file, int flags) {
  if (const int error = as_fault(file)->owner->next(SQLITE_IOERR_FSYNC); error != SQLITE_OK) {
    return error;
  }
  const int result = real_of(file)->pMethods->xSync(real_of(file), flags);
  if (result == SQLITE_OK && as_fault(file)->path != nullptr) {
    auto* owner = as_fault(file)->owner;
    const std::lock_guard lock{owner->mutex};
    owner->synced[as_fault(file)->path] = content_of(as_fault(file)->path);
  }
  return result;
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
int file_lock(sqlite3_file* file, int level) {
  return real_of(file)->pMethods->xLock(real_of(file), level);
}
int file_unlock(sqlite3_file* file, int level) {
  return real_of(file)->pMethods->xUnlock(real_of(file), level);
}
int file_check_lock(sqlite3_file* file, int* out) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}
int file_control(sqlite3_file* file, int op, void* argument) {
  return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}
int file_sector_size(sqlite3_file* file) {
  return real_of(file)->pMethods->xSectorSize(real_of(file));
}
int file_characteristics(sqlite3_file* file) {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
int file_shm_map(sqlite3_file* file, int page, int size, int extend, volatile void** out) {
  return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}
int file_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
void file_shm_barrier(sqlite3_file* file) {
  real_of(file)->pMethods->xShmBarrier(real_of(file));
}
int file_shm_unmap(sqlite3_file* file, int remove) {
  return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

const sqlite3_io_methods kMethods{2,
                                  file_close,
                                  file_read,
                                  file_write,
                                  file_truncate,
                                  file_sync,
                                  file_size,
                                  file_lock,
                                  file_unlock,
                                  file_check_lock,
                                  file_control,
                                  file_sector_size,
                                  file_characteristics,
                                  file_shm_map,
                                  file_shm_lock,
                                  file_shm_barrier,
                                  file_shm_unmap,
                                  nullptr,
                                  nullptr};

int vfs_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* impl = impl_of(vfs);
  auto* fault = as_fault(file);
  fault->owner = impl;
  fault->path = name;
  fault->real = reinterpret_cast<sqlite3_file*>(fault + 1);
  fault->base.pMethods = nullptr;
  if (name != nullptr && std::filesystem::exists(name)) {
    // As it stands when it is first seen; what a sync makes durable replaces it.
    const std::lock_guard lock{impl->mutex};
    impl->synced.try_emplace(name, content_of(name));
  }
  const int result = impl->real->xOpen(impl->real, name, fault->real, flags, out_flags);
  if (fault->real->pMethods != nullptr) {
    fault->base.pMethods = &kMethods;
  }
  return result;
}
int vfs_delete(sqlite3_vfs* vfs, const char* name, int sync) {
  auto* impl = impl_of(vfs);
  if (const int error = impl->next(SQLITE_IOERR_DELETE); error != SQLITE_OK) {
    return error;
  }
  return impl->real->xDelete(impl->real, name, sync);
}
int vfs_access(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  return impl_of(vfs)->real->xAccess(impl_of(vfs)->real, name, flags, out);
}
int vfs_full_path(sqlite3_vfs* vfs, const char* name, int size, char* out) {
  return impl_of(vfs)->real->xFullPathname(impl_of(vfs)->real, name, size, out);
}
int vfs_randomness(sqlite3_vfs* vfs, int count, char* out) {
  return impl_of(vfs)->real->xRandomness(impl_of(vfs)->real, count, out);
}
int vfs_sleep(sqlite3_vfs* vfs, int microseconds) {
  return impl_of(vfs)->real->xSleep(impl_of(vfs)->real, microseconds);
}
int vfs_time(sqlite3_vfs* vfs, double* out) {
  return impl_of(vfs)->real->xCurrentTime(impl_of(vfs)->real, out);
}
int vfs_last_error(sqlite3_vfs* vfs, int size, char* out) {
  return impl_of(vfs)->real->xGetLastError(impl_of(vfs)->real, size, out);
}

}  // namespace

FaultVfs::FaultVfs() : impl_(std::make_unique<Impl>()) {
  static std::atomic<int> next_name{0};
  impl_->name = "skerry-fault-" + std::to_string(next_name++);
  impl_->real = sqlite3_vfs_find(nullptr);
  if (impl_->real == nullptr) {
    std::abort();
  }
  auto& vfs = impl_->vfs;
  vfs.iVersion = 1;
  vfs.szOsFile = static_cast<int>(sizeof(FaultFile)) + impl_->real->szOsFile;
  vfs.mxPathname = impl_->real->mxPathname;
  vfs.zName = impl_->name.c_str();
  vfs.pAppData = impl_.get();
  vfs.xOpen = vfs_open;
  vfs.xDelete = vfs_delete;
  vfs.xAccess = vfs_access;
  vfs.xFullPathname = vfs_full_path;
  vfs.xRandomness = vfs_randomness;
  vfs.xSleep = vfs_sleep;
  vfs.xCurrentTime = vfs_time;
  vfs.xGetLastError = vfs_last_error;
  if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) {
    std::abort();
  }
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&impl_->vfs);
}

const std::string& FaultVfs::name() const {
  return impl_->name;
}

void FaultVfs::fail_at(std::uint64_t k, VfsFault fault, bool until_cleared) {
  const std::lock_guard lock{impl_->mutex};
  impl_->calls = 0;
  impl_->fail_at = k;
  impl_->fault = fault;
  impl_->until_cleared = until_cleared;
  impl_->fired = false;
}

void FaultVfs::clear() {
  const std::lock_guard lock{impl_->mutex};
  impl_->fail_at.reset();
}

bool FaultVfs::fired() const {
  const std::lock_guard lock{impl_->mutex};
  return impl_->fired;
}

void FaultVfs::follow(std::function<VfsFault()> next) {
  const std::lock_guard lock{impl_->mutex};
  impl_->source = std::move(next);
}

void FaultVfs::lose_unsynced(const std::filesystem::path& folder, bool torn) {
  constexpr std::size_t kSector = 512;
  const std::lock_guard lock{impl_->mutex};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto path = entry.path().string();
    if (path.ends_with("-shm")) {
      std::filesystem::remove(entry.path());
      continue;
    }
    const auto found = impl_->synced.find(path);
    std::string content = found == impl_->synced.end() ? std::string{} : found->second;
    if (torn) {
      const auto written = content_of(entry.path());
      const std::size_t half = written.size() / 2 / kSector * kSector;
      content = written.substr(0, half) + (content.size() > half ? content.substr(half) : "");
    }
    std::ofstream{entry.path(), std::ios::binary | std::ios::trunc} << content;
    impl_->synced[path] = std::move(content);
  }
}

}  // namespace skerry::test
