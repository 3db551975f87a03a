/* SPDX-License-Identifier: Apache-2.0 */
/* Opening of compression libraries, and what can be said about each. */
#define _GNU_SOURCE
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME(symbol) #symbol,

static const char *const isal_names[] = { IAACTL_ISAL_SYMBOLS(NAME) };
static const char *const libdeflate_names[] = { IAACTL_LIBDEFLATE_SYMBOLS(NAME) };
static const char *const libqpl_names[] = { IAACTL_LIBQPL_SYMBOLS(NAME) };
static const char *const zlib_names[] = { IAACTL_ZLIB_SYMBOLS(NAME) };
static const char *const zstd_names[] = { IAACTL_ZSTD_SYMBOLS(NAME) };

#define MOST_SYMBOLS 16

static const struct {
	const char *name, *soname;
	const char *const *symbols;
	size_t count;
} libraries[IAACTL_LIBRARIES] = {
#define ENTRY(name, soname) { #name, soname, name##_names, sizeof(name##_names) / sizeof(char *) }
	[IAACTL_LIBRARY_ISAL] = ENTRY(isal, "libisal.so.2"),
	[IAACTL_LIBRARY_LIBDEFLATE] = ENTRY(libdeflate, "libdeflate.so.0"),
	[IAACTL_LIBRARY_LIBQPL] = ENTRY(libqpl, "libqpl.so.1"),
	[IAACTL_LIBRARY_ZLIB] = ENTRY(zlib, "libz.so.1"),
	[IAACTL_LIBRARY_ZSTD] = ENTRY(zstd, "libzstd.so.1"),
};

/* Function pointers in the order of the names: what the structs of the header consist of. */
static struct loaded {
	bool tried;
	bool there;
	void *functions[MOST_SYMBOLS];
	struct iaactl_library about;
} table[IAACTL_LIBRARIES];

_Static_assert(sizeof(struct iaactl_isal) == sizeof(isal_names), "one member for each name");
_Static_assert(sizeof(struct iaactl_zstd) == sizeof(zstd_names), "one member for each name");
_Static_assert(sizeof(struct iaactl_zlib) <= MOST_SYMBOLS * sizeof(void *), "room for all");
_Static_assert(sizeof(struct iaactl_zstd) <= MOST_SYMBOLS * sizeof(void *), "room for all");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note_path(void *handle, struct iaactl_library *about, const char *soname)
{
	struct link_map *map;
	char *resolved;
	const char *file, *number;

	if (dlinfo(handle, RTLD_DI_LINKMAP, &map))
		return;
	resolved = realpath(map->l_name, NULL);
	snprintf(about->path, sizeof(about->path), "%s", resolved ? resolved : map->l_name);
	free(resolved);
	/* libisal.so.2 -> libisal.so.2.0.30: the digits behind the soname's own are the release. */
	file = strrchr(about->path, '/');
	file = file ? file + 1 : about->path;
	if (!strncmp(file, soname, strlen(soname)) && file[strlen(soname)] == '.') {
		number = strstr(file, ".so.") + 4;
		snprintf(about->version, sizeof(about->version), "%s", number);
	}
}

static void note_version(int id, struct loaded *one)
{
	const char *text = NULL;

	if (id == IAACTL_LIBRARY_ZLIB)
		text = ((struct iaactl_zlib *)one->functions)->zlibVersion();
	else if (id == IAACTL_LIBRARY_ZSTD)
		text = ((struct iaactl_zstd *)one->functions)->ZSTD_versionString();
	else if (id == IAACTL_LIBRARY_LIBQPL)
		text = ((struct iaactl_libqpl *)one->functions)->qpl_get_library_version();
	if (text)
		snprintf(one->about.version, sizeof(one->about.version), "%s", text);
}

static void load(int id, struct loaded *one)
{
	void *handle;
	size_t i;

	one->tried = true;
	snprintf(one->about.name, sizeof(one->about.name), "%s", libraries[id].name);
	snprintf(one->about.soname, sizeof(one->about.soname), "%s", libraries[id].soname);
	handle = dlopen(libraries[id].soname, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		snprintf(one->about.why_not, sizeof(one->about.why_not), "%s", dlerror());
		return;
	}
	note_path(handle, &one->about, libraries[id].soname);
	for (i = 0; i < libraries[id].count; i++) {
		one->functions[i] = dlsym(handle, libraries[id].symbols[i]);
		if (!one->functions[i]) {
			snprintf(one->about.why_not, sizeof(one->about.why_not), "no function %s",
				 libraries[id].symbols[i]);
			dlclose(handle);
			return;
		}
	}
	one->there = true;
	note_version(id, one);
}

static const struct loaded *get(int id)
{
	pthread_mutex_lock(&lock);
	if (!table[id].tried)
		load(id, &table[id]);
	pthread_mutex_unlock(&lock);
	return &table[id];
}

int iaactl_library_describe(int id, struct iaactl_library *ret)
{
	if (id < 0 || id >= IAACTL_LIBRARIES)
		return -EINVAL;
	*ret = get(id)->about;
	return 0;
}

static const void *functions(int id)
{
	const struct loaded *one = get(id);

	return one->there ? one->functions : NULL;
}

const struct iaactl_isal *iaactl_isal(void)
{
	return functions(IAACTL_LIBRARY_ISAL);
}

const struct iaactl_libdeflate *iaactl_libdeflate(void)
{
	return functions(IAACTL_LIBRARY_LIBDEFLATE);
}

const struct iaactl_zlib *iaactl_zlib(void)
{
	return functions(IAACTL_LIBRARY_ZLIB);
}

const struct iaactl_zstd *iaactl_zstd(void)
{
	return functions(IAACTL_LIBRARY_ZSTD);
}

const struct iaactl_libqpl *iaactl_libqpl(void)
{
	return functions(IAACTL_LIBRARY_LIBQPL);
}
