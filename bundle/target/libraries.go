package target

import "strings"

// The libraries below are those of the managed runtimes, which is not all that the container images of the same name
// have: a function from a zip on Amazon Linux 2 finds no libreadline, libcrypt, libexpat, libcurl, libxml2 or glib,
// though the image does (aws/aws-lambda-base-images issue 20, moznion/aws-lambda-perl5-layer issue 6, lambgeo/geo-layer
// issue 14, lambgeo/docker-lambda issue 34, keithrozario/Klayers issue 160). docs/verify.md has the way to list them anew.

// amazonLinux2Libraries were seen in /lib64 of a function (lambgeo/docker-lambda issue 37), with what those need
// themselves. glibc's own come first.
const amazonLinux2Libraries = `
	libc.so.6 libm.so.6 libmvec.so.1 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2 libnsl.so.1
	libanl.so.1 libcidn.so.1 libthread_db.so.1 libBrokenLocale.so.1 libSegFault.so
	libgcc_s.so.1 libstdc++.so.6 libz.so.1
	libcrypto.so.10 libssl.so.10 libgssapi_krb5.so.2 libkrb5.so.3 libk5crypto.so.3 libkrb5support.so.0 libcom_err.so.2
	libkeyutils.so.1 libselinux.so.1 libpcre.so.1
	libnspr4.so libplc4.so libplds4.so libnss3.so libnssutil3.so libfreebl3.so
	libtinfo.so.6 libcap.so.2 libattr.so.1 libacl.so.1 libgmp.so.10 libffi.so.6 libtasn1.so.6 libp11-kit.so.0
	liblzma.so.5`

// amazonLinux2023Libraries are of the packages that the image of python3.12 is made of (amazonlinux/amazon-linux-2023
// issue 585, aws/aws-lambda-base-images issue 173), without those of its package manager, glib among them.
const amazonLinux2023Libraries = `
	libc.so.6 libm.so.6 libmvec.so.1 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2
	libanl.so.1 libthread_db.so.1 libBrokenLocale.so.1
	libgcc_s.so.1 libstdc++.so.6 libz.so.1 libbz2.so.1 liblzma.so.5
	libcrypto.so.3 libssl.so.3 libgssapi_krb5.so.2 libkrb5.so.3 libk5crypto.so.3 libkrb5support.so.0 libcom_err.so.2
	libkeyutils.so.1 libselinux.so.1 libpcre2-8.so.0
	libtinfo.so.6 libcap.so.2 libattr.so.1 libacl.so.1 libgmp.so.10 libffi.so.8 libcrypt.so.2 libsqlite3.so.0`

// symbols are the newest versions that the runtime's libraries define, by the families' names and by operating system:
// glibc 2.26, libstdc++ and libgcc of gcc 7.3, zlib 1.2.7, and a liblzma in Python's own folder without XZ_5.2
// (aws/aws-lambda-base-images issue 127); glibc 2.34, gcc 14.2 (since release 2023.7 of March 2025,
// docker-library/official-images pull 18759), zlib 1.2.11, xz 5.2. Which version of a library defines which symbols is in gcc's
// ABI history (https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html) and in zlib's zlib.map.
var symbols = map[string]map[string]string{
	AmazonLinux2.Name:    {"GLIBC": "2.26", "GLIBCXX": "3.4.24", "CXXABI": "1.3.11", "GCC": "7.0.0", "ZLIB": "1.2.5.2", "XZ": "5.0"},
	AmazonLinux2023.Name: {"GLIBC": "2.34", "GLIBCXX": "3.4.33", "CXXABI": "1.3.15", "GCC": "14.0.0", "ZLIB": "1.2.9", "XZ": "5.2"},
}

var libraries = map[string]map[string]bool{
	AmazonLinux2.Name:    set(amazonLinux2Libraries),
	AmazonLinux2023.Name: set(amazonLinux2023Libraries),
}

func set(names string) map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(names) {
		all[name] = true
	}
	return all
}

// NewestSymbol returns the newest version of a family of symbols that the operating system's libraries define, for
// instance "2.26" of "GLIBC"; nothing where the family is not known.
func (o OS) NewestSymbol(family string) string { return symbols[o.Name][family] }

// HasLibrary says whether a library (its soname) is part of the runtime: of its operating system or of its Python.
func (t Target) HasLibrary(soname string) bool {
	switch soname {
	case "libpython" + t.Runtime.Python + ".so.1.0", "libpython3.so":
		return true
	case "ld-linux-aarch64.so.1":
		return t.Arch == ARM64
	case "ld-linux-x86-64.so.2":
		return t.Arch == X8664
	}
	return libraries[t.Runtime.OS.Name][soname]
}
