#!/bin/sh
# The greeting is read anew for every answer: a change of the ConfigMap shows as soon as the kubelet has written it.
printf 'Content-Type: text/plain\r\n\r\n'
read -r greeting </etc/hello/greeting
echo "$greeting from pod $(hostname) in namespace $POD_NAMESPACE"
